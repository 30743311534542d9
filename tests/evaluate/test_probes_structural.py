"""The structural probe: trees planted in vectors are found, and are not found where the vectors are shuffled."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lingraft.errors import LingraftError, RecipeError, RunError, TextError
from lingraft.evaluate.probes.states import load_encoder, word_states
from lingraft.evaluate.probes.structural import (
    Part,
    StructuralSettings,
    batch_loss,
    fit,
    linear,
    predicted,
    spearman,
    squared_distances,
    tree_scores,
)
from lingraft.evaluate.probes.treebank import Sentence, read_sentences, spanning_edges
from lingraft.evaluate.tagging import encode_words, specials_around
from lingraft.probing import probe
from lingraft.results import read_results

CALIBRATED = StructuralSettings(epochs=20, learning_rate=1e-2)
FIRST = """# text = I'm here.
1-2\tI'm\t_\t_\t_\t_\t_\t_\t_\t_
1\tI\tI\tPRON\t_\t_\t3\tnsubj\t_\t_
2\t'm\tbe\tAUX\t_\t_\t3\tcop\t_\t_
3\there\there\tADV\t_\t_\t0\troot\t_\t_
3.1\tnot\t_\t_\t_\t_\t_\t_\t_\t_
4\t.\t.\tPUNCT\t_\t_\t3\tpunct\t_\t_

"""


def random_tree(size: int, generator: np.random.Generator) -> Sentence:
    """A sentence whose words hang on random earlier ones."""
    order = generator.permutation(size)
    heads = np.full(size, -1)
    for place in range(1, size):
        heads[order[place]] = order[generator.integers(place)]
    return Sentence([f"w{i}" for i in range(size)], heads, np.ones(size, dtype=bool))


def planted(sentences: list[Sentence], width: int, mixing: np.ndarray) -> np.ndarray:
    """States in which each edge is a direction of its own: squared distances are tree distances, under a hidden linear map."""
    found = []
    for sentence in sentences:
        places = np.zeros((len(sentence.words), width))
        for word in range(len(sentence.words)):
            above = word
            while sentence.heads[above] >= 0:
                places[word, above] = 1
                above = sentence.heads[above]
        found.append(places @ mixing)
    return np.concatenate(found).astype(np.float32)


@pytest.fixture(scope="module")
def worlds() -> tuple[list[Part], list[Part]]:
    """Training, development and test parts with trees planted, and the same with the words' vectors shuffled."""
    generator = np.random.default_rng(0)
    mixing = generator.normal(size=(12, 16)) / 4
    true, shuffled = [], []
    for size in (300, 30, 40):
        sentences = [random_tree(generator.integers(5, 13), generator) for _ in range(size)]
        states = planted(sentences, 12, mixing)
        true.append(Part(sentences, torch.from_numpy(states)))
        shuffled.append(Part(sentences, torch.from_numpy(generator.permutation(states))))
    return true, shuffled


def uuas(parts: list[Part]) -> dict[str, float]:
    train, development, test = parts
    return tree_scores(test.sentences, predicted(test, fit(train, development, CALIBRATED, 0)))


def test_planted_trees_are_found_and_shuffled_ones_are_not(worlds: tuple[list[Part], list[Part]]) -> None:
    found, lost = (uuas(parts) for parts in worlds)
    assert found["uuas"] >= 0.95 and found["dspr"] >= 0.95
    assert lost["uuas"] < 0.4 and lost["dspr"] < 0.5


def test_the_right_distances_score_one_and_a_chain_scores_what_it_holds() -> None:
    chain = Sentence(list("abcde"), np.array([-1, 0, 1, 2, 3]), np.ones(5, dtype=bool))
    star = Sentence(list("abcde"), np.array([-1, 0, 0, 0, 0]), np.ones(5, dtype=bool))
    assert tree_scores([chain, star], [chain.distances, star.distances]) == pytest.approx({"uuas": 1, "dspr": 1})
    assert tree_scores([chain], linear([chain])) == pytest.approx({"uuas": 1, "dspr": 1})
    assert tree_scores([star], linear([star]))["uuas"] == 1 / 4


def test_dspr_averages_over_lengths_not_sentences() -> None:
    long, short = (Sentence(["w"] * n, np.arange(n) - 1, np.ones(n, dtype=bool)) for n in (6, 5))
    wrong = -short.distances
    found = tree_scores([long, long, long, short], [long.distances] * 3 + [wrong])
    assert found["dspr"] == pytest.approx((1 + spearman(wrong, short.distances)) / 2)
    assert spearman(np.zeros((5, 5)), short.distances) == 0


def test_the_objective_is_the_papers() -> None:
    states, gold = torch.tensor([[[0.0, 0], [1, 0], [1, 2], [9, 9]]]), torch.ones(1, 4, 4)
    distances = squared_distances(states, torch.eye(2) * 2)
    assert distances[0, :3, :3].tolist() == [[0, 4, 20], [4, 0, 16], [20, 16, 0]]
    by_hand = (3 * 1 + 2 * (3 + 19 + 15)) / 9  # the diagonal's gold is 1 here; the fourth word is padding
    assert float(batch_loss(states, gold, torch.tensor([3]), torch.eye(2) * 2)) == pytest.approx(by_hand)


def test_punctuation_is_left_out_of_trees() -> None:
    distances = np.array([[0, 5, 1], [5, 0, 1], [1, 1, 0]])
    assert spanning_edges(distances, np.array([True, True, True])) == {(0, 2), (1, 2)}
    assert spanning_edges(distances, np.array([True, True, False])) == {(0, 1)}
    assert spanning_edges(np.zeros((3, 3)), np.ones(3, dtype=bool)).__len__() == 2


def test_multiword_tokens_and_empty_nodes_are_no_words(tmp_path: Path) -> None:
    path = tmp_path / "a.conllu.gz"
    path.write_bytes(gzip.compress((FIRST + "1\tYes\t_\tINTJ\t_\t_\t0\troot\t_\t_\n\n").encode()))
    (sentence,) = read_sentences(path)
    assert sentence.words == ["I", "'m", "here", "."]
    assert sentence.heads.tolist() == [2, 2, -1, 2]
    assert sentence.edges == {(0, 2), (1, 2)}
    assert sentence.distances[0].tolist() == [0, 2, 1, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\ta\t_\tX\t_\t_\t2\t_\t_\t_\n2\tb\t_\tX\t_\t_\t1\t_\t_\t_\n", "form a circle"),
        ("1\ta\t_\tX\t_\t_\t0\t_\t_\t_\n2\tb\t_\tX\t_\t_\t9\t_\t_\t_\n", "must be a word of 1 to 2"),
        ("1\ta\t_\tX\t_\t_\t_\t_\t_\t_\n", "must be a word of 1 to 1"),
        ("one two three\n", "not CoNLL-U"),
    ],
    ids=["circle", "outside", "no-head", "no-columns"],
)
def test_what_is_no_tree_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.conllu").write_text(FIRST + text)
    with pytest.raises(TextError, match=f"line (9|10): .*{said}"):
        read_sentences(tmp_path / "a.conllu")


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama"])
def test_a_word_is_the_mean_of_its_pieces_whatever_else_is_in_the_batch(pico: Callable[[str], Path], family: str) -> None:
    encoder = load_encoder(str(pico(family)), 64)
    sentences = [["abcabc", "de"], ["f", "ghijklm", "no", "p"] * 3]
    found = word_states(encoder, sentences, [0, 1, 2])
    assert found.shape == (3, 14, 32)
    before, after = specials_around(encoder.tokenizer)
    pieces = encode_words(sentences[0], encoder.tokenizer)
    ids = [*before, *pieces[0], *pieces[1], *after]
    hidden = encoder.model(torch.tensor([ids]).to(encoder.model.device), output_hidden_states=True).hidden_states
    for layer in (0, 1, 2):
        mean = hidden[layer][0, len(before) : len(before) + len(pieces[0])].mean(0)
        assert np.allclose(found[layer, 0], mean.cpu(), atol=1e-5)


def test_a_long_sentence_has_a_state_for_every_word(pico: Callable[[str], Path]) -> None:
    encoder = load_encoder(str(pico("bert")), 16)
    found = word_states(encoder, [["abc", "def"] * 40], [-1])
    assert found.shape == (1, 80, 32) and (np.abs(found).sum(axis=2) > 0).all()


@pytest.fixture(scope="module")
def treebank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random trees over made words."""
    folder, generator = tmp_path_factory.mktemp("trees"), np.random.default_rng(1)
    for name, size in (("train", 30), ("test", 8)):
        lines = []
        for _ in range(size):
            tree = random_tree(generator.integers(5, 9), generator)
            rows = [f"{i + 1}\t{w}\t_\tX\t_\t_\t{tree.heads[i] + 1}\tdep\t_\t_" for i, w in enumerate(tree.words)]
            lines.append("\n".join(rows) + "\n\n")
        (folder / f"{name}.conllu").write_text("".join(lines))
    return folder


def run(pico: Callable[[str], Path], treebank: Path, out: Path, **more: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"train": treebank / "train.conllu", "evaluation": treebank / "test.conllu", "changes": ["epochs=2"]}
    return probe(str(pico("bert")), probe="structural", out=out, **{**asked, **more})


def test_a_finished_folder_holds_everything_and_is_only_read(pico: Callable[[str], Path], treebank: Path, tmp_path: Path) -> None:
    found = run(pico, treebank, tmp_path / "out", seeds=2)
    assert found["scores"].keys() == found["baseline"].keys() == {"uuas", "dspr"}
    assert found["scores"]["uuas"]["n"] == 2 and found["scores"]["uuas"]["sd"] is not None
    assert [line["layer"] for line in found["development"]] == [0, 1, 2] and found["layer"] in (0, 1, 2)
    assert found["examples"] == {"train": 27, "development": 3, "evaluation": 8}
    assert found["fingerprints"].keys() == {"train", "evaluation", "model"}
    lines = [json.loads(line) for line in (tmp_path / "out/predictions.jsonl").read_text().splitlines()]
    assert len(lines) == 16 and len(lines[0]["predicted"]) == len(lines[0]["words"]) - 1
    pictures = {path.name for path in (tmp_path / "out").glob("*.*g")}
    assert pictures == {"tree.png", "tree.svg", "layers.png", "layers.svg"}
    written = (tmp_path / "out/probe.json").stat().st_mtime_ns
    assert run(pico, treebank, tmp_path / "out", seeds=2) == found
    assert (tmp_path / "out/probe.json").stat().st_mtime_ns == written
    (compared,) = read_results([tmp_path / "out"])
    assert compared.scores["uuas"].mean == pytest.approx(100 * found["scores"]["uuas"]["mean"])
    assert compared.name == pico("bert").name and compared.test("und").startswith(found["fingerprints"]["evaluation"])
    with pytest.raises(RunError, match=r"settings.epochs: was 2, now 3"):
        run(pico, treebank, tmp_path / "out", seeds=2, changes=["epochs=3"])


def test_a_mistake_can_be_mended_in_the_same_folder(pico: Callable[[str], Path], treebank: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="layers"):
        run(pico, treebank, tmp_path / "out", changes=["layers=[9]"])
    assert run(pico, treebank, tmp_path / "out", changes=["epochs=1", "layers=[1]"])["layer"] == 1


def test_the_same_seed_gives_the_same_scores_from_files_and_folders(pico: Callable[[str], Path], treebank: Path, tmp_path: Path) -> None:
    folder = {"train": f"{treebank}#split=train", "evaluation": f"{treebank}#split=test"}
    quick = {"changes": ["epochs=2", "layers=[-1]"]}
    one, other = (run(pico, treebank, tmp_path / name, **quick, **more) for name, more in (("a", {}), ("b", folder)))
    assert one["scores"] == other["scores"] and one["layer"] == 2
    assert one["scores"]["uuas"]["sd"] is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"train": None}, "give --train"),
        ({"evaluation": "nowhere.conllu"}, "no file 'nowhere.conllu'"),
        ({"probe": "syntax"}, "Did you mean"),
        ({"changes": ["layers=[7]"]}, "layers 0 .its embeddings. to 2"),
        ({"changes": ["colour=red"]}, "no setting 'colour'"),
    ],
    ids=["train", "file", "probe", "layers", "setting"],
)
def test_mistakes_are_named(pico: Callable[[str], Path], treebank: Path, tmp_path: Path, more: dict[str, Any], said: str) -> None:
    asked: dict[str, Any] = {"train": treebank / "train.conllu", "evaluation": treebank / "test.conllu", "probe": "structural"}
    with pytest.raises(LingraftError, match=said):
        probe(str(pico("bert")), out=tmp_path / "out", **{**asked, **more})
