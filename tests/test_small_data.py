"""Little data: with a hundred sentences, or a hundred tokens, every row method gives valid rows or says clearly why not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import World, make_world, sentences
from safetensors.numpy import load_file

import lingraft
from lingraft.embeddings import ROWS, NewRows
from lingraft.errors import LingraftError
from lingraft.run import Run

METHODS = sorted({*ROWS, "auto", "ramen/focus+pieces"} - {"keep"})
Pico = Callable[[str], Path]


@pytest.fixture(scope="module")
def hamlet(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A cipher world of 100 sentences, in 10 documents, with a dictionary of 10 words."""
    made = make_world(tmp_path_factory.mktemp("hamlet"), sentences(100, seed=3), 10)
    made.lexicon.write_text("".join(made.lexicon.read_text().splitlines(keepends=True)[:10]))
    return made


def go(source: Path, world: World, out: Path, method: str, size: int) -> Run | str:
    """The run, or why it is refused."""
    changes = [f"rows.method={method}", f"tokenizer.size={size}", "length=16", "batch=4", "steps=0", "evaluation.max_characters=2000"]
    aids = {"source_text": str(world.plain), "parallel": str(world.parallel), "lexicon": str(world.lexicon)}
    try:
        return lingraft.transfer(str(source), to="de", text=str(world.cipher), out=out, recipe="copy", changes=changes, **aids)
    except LingraftError as error:
        return str(error)


def check(run: Run | str, method: str) -> None:
    if isinstance(run, str):
        assert method in ("wechsel", "ofa", "ramen-mono", "mapped"), f"only what maps vectors may be refused, not this: {run}"
        assert len(run) > 60 and run.endswith(".")
        return
    rows = NewRows.from_arrays(load_file(run.path / "rows.safetensors"))
    assert np.isfinite(rows.mix.data).all() and sum(rows.counts().values()) == rows.num_new
    model, _ = run.load()
    assert all(np.isfinite(parameter.detach().numpy()).all() for parameter in model.parameters())


@pytest.mark.parametrize("family", ["bert", "llama"])
@pytest.mark.parametrize("method", METHODS)
def test_a_hundred_sentences(method: str, family: str, pico: Pico, hamlet: World, tmp_path: Path):
    check(go(pico(family), hamlet, tmp_path / "run", method, 300), method)


@pytest.mark.parametrize("method", METHODS)
def test_a_hundred_tokens(method: str, pico: Pico, world: World, tmp_path: Path):
    check(go(pico("bert"), world, tmp_path / "run", method, 100), method)
