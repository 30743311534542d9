"""Static vectors of both languages beside a source's states (recipe rosita): what they are, that they stay, and that they are kept."""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import World
from small_runs import Pico, go

from lingraft.cli.show import distance_line
from lingraft.errors import ModelError, RecipeError
from lingraft.evaluate.heads import load_with_head
from lingraft.figures import keeps_rows, unit_of_losses
from lingraft.grafting import read_rows
from lingraft.model.load import load_source
from lingraft.recipe import load_recipe
from lingraft.report import Record
from lingraft.run import Run
from lingraft.vectors.tokens import of_both

pytestmark = pytest.mark.usefixtures("short_report")


@pytest.fixture(scope="module")
def finished(pico: Pico, world: World, tmp_path_factory: pytest.TempPathFactory, short_report: None) -> Run:
    changes = ["rows.mapping=identical", "surgery.adapter_width=16", "batch=16", "learning_rate=0.01"]
    out = tmp_path_factory.mktemp("rosita") / "run"
    return go(pico("bert"), world, out, *changes, recipe="rosita", steps=40, parallel=str(world.parallel))


def test_the_map_learns_and_all_else_stays(pico: Pico, finished: Run):
    losses = [line["held_out_loss"] for line in finished.lines("metrics.jsonl") if "held_out_loss" in line]
    assert losses[-1] < losses[0] * 0.9, losses
    before, after = load_source(str(pico("bert")), seed=0).model, finished.load()[0]
    own = dict(after.named_parameters())
    assert all(torch.equal(parameter, own[name]) for name, parameter in before.named_parameters())
    joined = after.get_input_embeddings().adapter
    table = torch.from_numpy(read_rows(finished).beside)
    assert torch.equal(joined.vectors[: len(table)], table)
    assert joined.beside.weight.abs().max() > 0.01, "the vectors have a part in the states"
    lengths = joined.vectors.norm(dim=1)
    assert torch.allclose(lengths[lengths > 0], torch.ones(1))
    assert (lengths > 0).sum() > 50


def test_every_head_has_them_and_a_folder_without_is_the_source(pico: Pico, finished: Run):
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        model, source = finished.load()[0].eval(), load_source(str(pico("bert")), seed=0).model.eval()
        states = model.base_model(input_ids=ids).last_hidden_state
        labelled = load_with_head(str(finished.path / "model"), "token", ["a", "b"]).eval()
        assert torch.equal(labelled.base_model(input_ids=ids).last_hidden_state, states)
        own = source.base_model(input_ids=ids).last_hidden_state
        joined = model.get_input_embeddings().adapter
        wanted = own @ joined.states.weight.T + joined.states.bias + joined.vectors[ids] @ joined.beside.weight.T
        torch.testing.assert_close(states, wanted, atol=1e-5, rtol=1e-4)
        with pytest.raises(ModelError, match="give it input_ids"):
            model(inputs_embeds=torch.zeros(1, 20, 32))


def test_vectors_of_no_training_change_nothing(pico: Pico, world: World, tmp_path: Path):
    changes = ["rows.mapping=identical", "surgery.adapter_width=16"]
    run = go(pico("bert"), world, tmp_path / "run", *changes, recipe="rosita", steps=0, parallel=str(world.parallel))
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        one, other = run.load()[0].eval(), load_source(str(pico("bert")), seed=0).model.eval()
        torch.testing.assert_close(one(input_ids=ids).logits, other(input_ids=ids).logits, atol=1e-6, rtol=1e-5)


def test_two_languages_of_a_vocabulary_come_into_one_space():
    """The target's text is the source's, each word i spelled 40 + i; 16 words that both use are what the map starts from."""
    generator, names = np.random.default_rng(0), ["", *(f"w{i}" for i in range(1, 100))]
    topics = generator.permutation(np.arange(1, 41)).reshape(8, 5)
    shared = generator.permutation(np.arange(81, 97)).reshape(8, 2)

    def sentences(shift: int) -> Iterator[Sequence[str]]:
        draw = np.random.default_rng(1)
        for _ in range(1500):
            topic = draw.integers(8)
            words = np.concatenate([topics[topic] + shift, shared[topic]])
            yield [names[i] for i in draw.choice(words, 8)]

    sides = [partial(sentences, shift) for shift in (0, 40)]
    counts = [np.bincount([names.index(word) for line in side() for word in line], minlength=100) for side in sides]
    table, trust = of_both(sides, counts, names, 16, "identical", 0)
    assert trust.reliable
    assert np.allclose(np.linalg.norm(table[1:81], axis=1), 1, atol=1e-5)
    assert not table[0].any()
    topic_of = {int(word): number for number, topic in enumerate(topics) for word in topic}
    near = [int(np.argmax(table[40 + word] @ table[1:41].T)) + 1 for word in range(1, 41)]
    assert np.mean([topic_of[found] == topic_of[word] for word, found in enumerate(near, 1)]) > 0.9


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("tokenizer.vocabulary=replace", "vocabulary = 'source'"),
        ("phases.train.objective=mlm", "a phase on parallel text"),
        ("surgery.trilayer=true", "re-ordered"),
        ("phases.train.gradient_checkpointing=true", "computed anew"),
        ("rows.mapping=lexicon", "rows.mapping is"),
    ],
)
def test_what_cannot_have_them_is_refused(change: str, why: str):
    with pytest.raises(RecipeError, match=why):
        load_recipe("rosita", [change])


def test_what_the_page_and_the_terminal_say_of_it(finished: Run):
    record = Record(finished, "run")
    assert unit_of_losses([record]).startswith("squared distance of linked states")
    assert keeps_rows(record)
    assert "how far the source's head still fits" in " ".join(record.notes)
    first, last = re.fullmatch(r"states  distance of linked ones on held-out lines (\S+) -> (\S+)\n", distance_line(finished)).groups()
    assert float(last) < float(first)
