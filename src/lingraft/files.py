"""Files that are either complete or not there: who writes them, atomic writes, digests, fingerprints, and the lock of a run folder."""

import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from lingraft.errors import RunError

_UMASK = os.umask(0)
os.umask(_UMASK)


def is_main_process() -> bool:
    """Whether this process writes: the only one, or the first of those that accelerate started."""
    return os.environ.get("RANK", "0") == "0"


def _finish(path: Path) -> None:
    """Sync a new file or folder; safetensors makes files that only their owner may read, which ours are not."""
    path.chmod((0o777 if path.is_dir() else 0o666) & ~_UMASK)
    _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_from_disk(error: Exception) -> bool:
    """Whether the operating system raised it; safetensors and tokenizers pass its errors on in exceptions of their own."""
    return isinstance(error, OSError) or "(os error " in str(error)


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends well it is synced and renamed to `path`, else removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        yield temporary
        _finish(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except Exception as error:
        if not _is_from_disk(error):
            raise
        raise RunError(f"Cannot write {path}: {getattr(error, 'strerror', None) or error}. Free space or choose another --out.") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; when the block ends well it replaces `path`, else it is removed."""
    temporary = path.with_name(f".{path.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        for file in sorted(temporary.rglob("*")):
            _finish(file)
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
        _sync(path.parent)
    except Exception as error:
        if not _is_from_disk(error):
            raise
        raise RunError(f"Cannot write {path}: {getattr(error, 'strerror', None) or error}. Free space or choose another --out.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path`, atomically; a file that says it already is left alone."""
    if path.is_file() and path.read_bytes() == text.encode():
        return
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The value in the JSON file `path`. Raises RunError where the file is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise RunError(f"{path} is damaged ({error}). Remove the run folder, or use another --out.") from error


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, or of all files below a folder with their names."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return fingerprint({str(file.relative_to(path)): digest(file) for file in files})
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_digest(folder: Path) -> str:
    """SHA-256 of the files that lie in a folder with their names; folders, hidden files and cards (.md) left out: a model, whatever was put
    beside it and whatever is said of it."""
    found = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".") and file.suffix != ".md")
    return fingerprint({file.name: digest(file) for file in found})


def fingerprint(value: Any) -> str:
    """SHA-256 of a JSON-able value, keys sorted."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()


@contextlib.contextmanager
def locked(folder: Path, *, waits: bool = False, name: str = "") -> Iterator[filelock.BaseFileLock]:
    """Hold the run folder, or one in it, for this process; what is yielded can release it before the end.

    Where another process holds it, RunError is raised; waits: say so on stderr, and
    wait. name: what is held, where that is not the folder's.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"Cannot make the folder {folder}: {error.strerror}. Choose another --out.") from error
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        if not waits:
            raise RunError(f"{folder} is in use by another lingraft. Wait for it, or choose another --out.") from None
        print(f"lingraft: waiting for {name or folder}, at which another lingraft is at work", file=sys.stderr, flush=True)
        lock.acquire(poll_interval=0.2)
    try:
        yield lock
    finally:
        lock.release()
