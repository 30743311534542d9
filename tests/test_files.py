"""Files are complete or not there, whatever happens in between."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lingraft import files
from lingraft.errors import RunError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_a_file_appears_whole(tmp_path: Path):
    with files.atomic_write(tmp_path / "deep" / "file") as temporary:
        temporary.write_text("new")
        assert not (tmp_path / "deep" / "file").exists()
    assert (tmp_path / "deep" / "file").read_text() == "new"
    assert names(tmp_path) == ["deep", "file"]


def test_what_safetensors_writes_may_be_read_by_all_who_may_read_new_files(tmp_path: Path):
    with files.atomic_write(tmp_path / "one.safetensors") as temporary:
        save_file({"a": np.zeros(2)}, temporary)
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "one.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    files.write_text(tmp_path / "file", "old")
    with pytest.raises(KeyError), files.atomic_write(tmp_path / "file") as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise KeyError
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_folder_replaces_the_old_one_whole(tmp_path: Path):
    for content in ("one", "two"):
        with files.atomic_folder(tmp_path / "folder") as temporary:
            (temporary / content).write_text(content)
    assert names(tmp_path) == ["folder", "two"]


def test_an_exception_leaves_the_old_folder_and_nothing_else(tmp_path: Path):
    with files.atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "old").write_text("old")
    with pytest.raises(KeyError), files.atomic_folder(tmp_path / "folder") as temporary:  # noqa: PT012
        (temporary / "new").write_text("half")
        raise KeyError
    assert names(tmp_path) == ["folder", "old"]


def test_what_a_killed_process_left_is_no_obstacle(tmp_path: Path):
    (tmp_path / ".folder.partial").mkdir()
    (tmp_path / ".folder.partial" / "half").write_text("")
    with files.atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "whole").write_text("")
    assert names(tmp_path) == ["folder", "whole"]


@pytest.mark.parametrize("make", [files.atomic_write, files.atomic_folder])
def test_a_full_disk_is_one_clear_error(make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"Cannot write .*thing: No space left on device. Free space"), make(tmp_path / "thing") as temporary:
        (temporary / "file" if make is files.atomic_folder else temporary).write_text("x")
    assert names(tmp_path) == []


def test_a_full_disk_below_safetensors_is_the_same_error(tmp_path: Path):
    code = f"""
import resource, numpy, pathlib
from safetensors.numpy import save_file
from lingraft.files import atomic_write
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with atomic_write(pathlib.Path({str(tmp_path / "rows")!r})) as temporary:
    save_file({{"rows": numpy.zeros(10_000)}}, temporary)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "RunError: Cannot write" in result.stderr
    assert names(tmp_path) == []


def test_json_goes_round_and_damage_is_named(tmp_path: Path):
    files.write_json(tmp_path / "a.json", {"ß": [1, None]})
    assert files.read_json(tmp_path / "a.json") == {"ß": [1, None]}
    (tmp_path / "a.json").write_text('{"ß": [1')
    with pytest.raises(RunError, match=r"a\.json is damaged"):
        files.read_json(tmp_path / "a.json")


def test_digests_see_bytes_and_names(tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "file").write_text("same")
    assert files.digest(tmp_path / "one") == files.digest(tmp_path / "two")
    (tmp_path / "two" / "inner" / "file").rename(tmp_path / "two" / "inner" / "other")
    assert files.digest(tmp_path / "one") != files.digest(tmp_path / "two")


def test_the_digest_of_a_model_sees_its_own_files_alone(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    before = files.files_digest(tmp_path)
    for name in ("README.md", ".hidden", "folder/file"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert files.files_digest(tmp_path) == before
    (tmp_path / "config.json").write_text("{ }")
    assert files.files_digest(tmp_path) != before


def test_fingerprints_do_not_see_the_order_of_keys():
    assert files.fingerprint({"a": 1, "b": 2}) == files.fingerprint({"b": 2, "a": 1}) != files.fingerprint({"a": 1, "b": 3})


def test_the_second_lock_is_refused_and_the_next_is_not(tmp_path: Path):
    with files.locked(tmp_path), pytest.raises(RunError, match="in use"), files.locked(tmp_path):
        pass
    with files.locked(tmp_path):
        pass
