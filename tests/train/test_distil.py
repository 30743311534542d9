"""Token distillation: where two tokenizers agree, what the student reads, and that rows become what they should be."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import FAMILIES, World
from safetensors.numpy import load_file

import lingraft
from lingraft.embeddings import NewRows
from lingraft.errors import RecipeError
from lingraft.model.load import Source, load_source
from lingraft.tokenizer.vocabulary import special_ids
from lingraft.train.distil import Line, Reader, distil, distilled, make_batch, read, runs_of, sample

Pico = Callable[[str], Path]
families = pytest.mark.parametrize("family", sorted(FAMILIES))
SMALL = ["tokenizer.size=600", "length=32", "batch=4", "steps=0", "evaluation.max_characters=2000", "rows.distil_steps=30"]


def own_lines(source: Source, world: World, count: int = 60) -> list[Line]:
    """Text in which every token is a run of one piece: the new vocabulary is the old one, and nobody says so."""
    size = len(source.tokenizer)
    trainable = np.ones(size, dtype=bool)
    trainable[list(special_ids(source.tokenizer))] = False
    return read(world.plain.read_text().split("\n")[:count], source.tokenizer, source.tokenizer, trainable, longest=48)


def matrix_of(source: Source) -> np.ndarray:
    return source.model.get_input_embeddings().weight.detach().numpy().copy()


def test_a_sample_is_all_of_few_and_evenly_drawn_of_many():
    assert sample(map(str, range(5)), 9, seed=0) == list("01234")
    assert sample(map(str, range(100)), 9, seed=0) == sample(map(str, range(100)), 9, seed=0)
    drawn = Counter(int(line) // 50 for seed in range(300) for line in sample(map(str, range(100)), 10, seed))
    assert abs(drawn[0] - drawn[1]) < 300


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ([(0, 2), (2, 4), (5, 6)], [(0, 4), (5, 6)], [(0, 2, 0), (2, 3, 1)]),
        ([(0, 3), (3, 4)], [(0, 2), (2, 4)], []),
        ([(0, 1), (1, 2), (1, 2), (2, 3)], [(0, 1), (1, 2), (2, 3)], [(0, 1, 0), (1, 3, 1), (3, 4, 2)]),
        ([(0, 1), (1, 2), (2, 3)], [(0, 1), (1, 2), (1, 2), (2, 3)], [(0, 1, 0), (2, 3, 3)]),
        ([(0, 0), (0, 3)], [(0, 3)], [(0, 2, 0)]),
        ([(0, 0), (0, 3)], [(0, 0), (0, 3)], []),
        ([], [(0, 3)], []),
        ([(0, 3)], [], []),
    ],
)
def test_runs_begin_and_end_where_old_tokens_do(old: list, new: list, found: list):
    assert runs_of(*(np.array(offsets, dtype=np.int64).reshape(-1, 2) for offsets in (old, new))) == found


def test_the_student_reads_new_tokens_in_place_of_their_pieces():
    line = Line([1, 10, 11, 12, 13, 2], [(1, 3, 7), (4, 5, 8)])
    batch = make_batch([line, Line([1, 10, 2], [(1, 2, 7)])], 100)
    assert batch.student.tolist() == [[1, 107, 12, 108, 2], [1, 107, 2, -1, -1]]
    assert batch.lengths.tolist() == [1, 2, 1, 1, 1, 1, 1, 1]


@families
def test_old_tokens_by_another_name_have_no_error_in_their_own_rows(family: str, pico: Pico, world: World):
    source = load_source(str(pico(family)), seed=0)
    lines = own_lines(source, world, 20)
    assert len(lines) > 10 and len(lines[0].runs) > 5
    rows = torch.from_numpy(matrix_of(source))
    assert Reader(source.model, rows, torch.device("cpu")).judge(lines) < 1e-10
    assert Reader(source.model, rows.roll(1, 0), torch.device("cpu")).judge(lines) > 1e-6


@pytest.mark.parametrize(("family", "wanted"), [("bert", [0, 1.5, 3]), ("llama", [0, 2, 3])])
def test_an_encoders_run_has_the_mean_state_and_a_decoders_the_last(family: str, wanted: list[float], pico: Pico):
    source = load_source(str(pico(family)), seed=0)
    reader = Reader(source.model, torch.from_numpy(matrix_of(source)), torch.device("cpu"))
    states = {4: torch.arange(4.0)[:, None], 3: torch.tensor(wanted)[:, None]}
    reader.states = lambda ids: states[ids.shape[1]]
    assert reader.error(make_batch([Line([5, 6, 7, 8], [(1, 3, 9)])], 400)) == 0


@pytest.mark.parametrize("family", ["bert", "llama", "roberta"])
def test_rows_that_were_lost_are_found_again(family: str, pico: Pico, world: World):
    source = load_source(str(pico(family)), seed=0)
    right, lines = matrix_of(source), own_lines(source, world, 200)
    start = right + np.random.default_rng(0).normal(size=right.shape, scale=right.std()).astype(np.float32)
    found = distil(source.model, lines, start, steps=60, seed=0)
    assert found.record["error_after"] < 0.5 * found.record["error_before"]
    often = [i for i, count in Counter(new for line in lines for *_, new in line.runs).most_common(20)]
    distance = [np.linalg.norm(rows[often] - right[often], axis=1) for rows in (start, dict_rows(found, start))]
    assert distance[1].mean() < 0.8 * distance[0].mean()
    again = distil(source.model, lines, start, steps=60, seed=0)
    assert found.rows.tobytes() == again.rows.tobytes() and found.rows.tobytes() != start[found.ids].tobytes()
    assert np.array_equal(matrix_of(source), right) and all(p.requires_grad for p in source.model.parameters())


def dict_rows(found: object, start: np.ndarray) -> np.ndarray:
    rows = start.copy()
    rows[found.ids] = found.rows
    return rows


@pytest.mark.parametrize("family", ["bert", "llama", "opt"])
def test_only_rows_without_a_copy_are_distilled(family: str, pico: Pico, world: World, tmp_path: Path):
    asked = {"to": "de", "text": str(world.cipher)}
    run, pieces = (
        lingraft.transfer(str(pico(family)), out=tmp_path / method, changes=[*SMALL, f"rows.method={method}"], **asked)
        for method in ("distilled", "pieces")
    )
    rows, before = (NewRows.from_arrays(load_file(made.path / "rows.safetensors")) for made in (run, pieces))
    assert set(rows.direct_ids) <= set(np.flatnonzero(before.origin < 2)), "none is a draw"
    assert before.origin[rows.direct_ids].mean() > 0.5, "most have several pieces"
    assert run.origin["direct"] == len(rows.direct_ids) == run.facts["distillation"]["rows"] > 20
    assert run.facts["distillation"]["error_after"] < run.facts["distillation"]["error_before"]
    same = lingraft.transfer(str(pico(family)), out=tmp_path / "same", changes=[*SMALL, "rows.method=distilled"], **asked)
    assert (same.path / "rows.safetensors").read_bytes() == (run.path / "rows.safetensors").read_bytes()


def test_a_tokenizer_without_places_is_refused():
    with pytest.raises(RecipeError, match="SimpleNamespace does not say"):
        distilled(None, SimpleNamespace(is_fast=False), None, [], None, np.zeros(0), steps=1, seed=0)


def test_nothing_to_train_is_no_error(pico: Pico, world: World, tmp_path: Path):
    changes = [*SMALL, "rows.method=distilled", f"tokenizer.read={pico('bert')}"]
    run = lingraft.transfer(str(pico("bert")), to="en", text=str(world.plain), out=tmp_path / "run", changes=changes)
    assert run.origin["direct"] == 0 and run.facts["distillation"]["rows"] == 0
