"""Fine-tuning and scoring: what is learnt is found again, what is interrupted goes on, and numbers say what they are."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from lingraft.errors import LingraftError
from lingraft.evaluate.bootstrap import combined_interval, summary
from lingraft.evaluate.learning import Items
from lingraft.evaluate.measures import MEASURES
from lingraft.evaluate.table import TASKS
from lingraft.evaluate.tagging import TAGGING, Sentence, accuracy, spans, windows
from lingraft.evaluate.task import TaskSettings, collate
from lingraft.evaluation import Exam, evaluate, learner_of
from lingraft.train.loop import Options

QUICK = ("steps=80", "batch=16", "learning_rate=5e-3", "precision=float32")
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def treebank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CoNLL-U in which a word's tag is its first letter's: vowels are VERB, others NOUN, the full stop PUNCT."""
    folder = tmp_path_factory.mktemp("treebank")
    generator = np.random.default_rng(0)
    words = ["".join(generator.choice(list("aeioubcdfg"), size=3)) for _ in range(40)]
    for name, size in (("train", 120), ("dev", 20), ("test", 30)):
        lines = []
        for _ in range(size):
            chosen = [*generator.choice(words, size=5), "."]
            tags = ["PUNCT" if word == "." else "VERB" if word[0] in "aeiou" else "NOUN" for word in chosen]
            columns = [
                f"{i}\t{word}\t_\t{tag}\t_\t_\t{i - 1}\t{'root' if i == 1 else 'dep'}\t_\t_"
                for i, (word, tag) in enumerate(zip(chosen, tags, strict=True), 1)
            ]
            lines.append("\n".join(columns) + "\n\n")
        (folder / f"{name}.conllu").write_text("".join(lines))
    return folder


def run(pico: Callable[[str], Path], treebank: Path, out: Path, **more: Any) -> dict[str, Any]:
    """Evaluate a pico BERT on the treebank."""
    asked: dict[str, Any] = {"train": [str(treebank / "train.conllu")], "evaluation": [f"de={treebank / 'test.conllu'}"], "changes": QUICK}
    return evaluate(str(pico("bert")), task="pos", out=out, **{**asked, **more})


def test_what_is_learnt_shows_beside_its_baseline(pico: Callable[[str], Path], treebank: Path, tmp_path: Path) -> None:
    found = run(pico, treebank, tmp_path / "out", seeds=2)
    score = found["languages"]["de"]["scores"]["accuracy"]
    assert score["n"] == 2 and score["sd"] is not None and score["low"] <= score["mean"] <= score["high"]
    assert score["mean"] > 0.8
    assert found["scores"]["accuracy"] == score
    assert found["data"]["train"][0]["sha256"] and found["versions"]["lingraft"]
    lines = [json.loads(line) for line in (tmp_path / "out/seeds/1/predictions-de.jsonl").read_text().splitlines()]
    right = sum(a == b for line in lines for a, b in zip(line["gold"], line["predicted"], strict=True))
    told = json.loads((tmp_path / "out/seeds/1/scores.json").read_text())
    assert told["scores"]["de"]["accuracy"] == pytest.approx(right / sum(len(line["gold"]) for line in lines))


def test_interrupted_goes_on_to_the_same_predictions(pico: Callable[[str], Path], treebank: Path, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(phase: str, step: int, total: int, loss: float) -> None:
        if step == 50:
            raise Stop

    more = {"development": [str(treebank / "dev.conllu")], "seeds": 2}
    with pytest.raises(Stop):
        run(pico, treebank, tmp_path / "a", **more, options=Options(checkpoint_steps=30, progress=stop))
    told = run(pico, treebank, tmp_path / "a", **more)
    whole = run(pico, treebank, tmp_path / "b", **more)
    assert told["scores"] == whole["scores"]
    assert told["training"][0]["attempts"][0]["development"] == whole["training"][0]["attempts"][0]["development"]
    for seed in (0, 1):
        name = f"seeds/{seed}/predictions-de.jsonl"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert not list((tmp_path / "a").rglob("*.safetensors"))


def test_more_seeds_are_added_and_other_inputs_refused(pico: Callable[[str], Path], treebank: Path, tmp_path: Path) -> None:
    first = run(pico, treebank, tmp_path / "out")
    before = (tmp_path / "out/seeds/0/scores.json").stat().st_mtime_ns
    second = run(pico, treebank, tmp_path / "out", seeds=2)
    assert (tmp_path / "out/seeds/0/scores.json").stat().st_mtime_ns == before
    assert first["scores"]["accuracy"]["n"] == 1 and second["scores"]["accuracy"]["n"] == 2
    with pytest.raises(LingraftError, match=r"batch: was 16, now 8\. Use another --out, or go back to the old setting\.$"):
        run(pico, treebank, tmp_path / "out", changes=[*QUICK, "batch=8"])


def test_a_kept_model_scores_by_its_own_head(pico: Callable[[str], Path], treebank: Path, tmp_path: Path) -> None:
    told = run(pico, treebank, tmp_path / "out", keep=True)
    model = str(tmp_path / "out/seeds/0/model")
    own = evaluate(model, task="pos", evaluation=[str(treebank / "test.conllu")], language="de", out=tmp_path / "own")
    assert own["scores"]["accuracy"]["mean"] == told["scores"]["accuracy"]["mean"]
    with pytest.raises(LingraftError, match="has no head for the task 'pos'"):
        evaluate(str(pico("bert")), task="pos", evaluation=[str(treebank / "test.conllu")], out=tmp_path / "none")
    (tmp_path / "names.tsv").write_text("abc\tB-PER\nefg\tO\n\n")
    with pytest.raises(LingraftError, match="has the labels NOUN, PUNCT, VERB; --eval has B-PER, O"):
        evaluate(model, task="ner", evaluation=[str(tmp_path / "names.tsv")], out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_training_stops_early_and_keeps_the_best(pico: Callable[[str], Path], treebank: Path, tmp_path: Path) -> None:
    changes = ["epochs=40", "batch=16", "learning_rate=1e-2", "precision=float32", "patience=2"]
    told = run(pico, treebank, tmp_path / "out", changes=changes, development=[str(treebank / "dev.conllu")])["training"][0]["attempts"][0]
    scores = [score for _, score in told["development"]]
    assert told["stopped_early"] and len(scores) < 40
    assert told["best_step"] == told["development"][scores.index(max(scores))][0]


def test_a_run_that_learns_nothing_is_started_again(pico: Callable[[str], Path], treebank: Path, tmp_path: Path) -> None:
    changes = ["steps=2", "learning_rate=1e-7", "restarts=2"]
    told = run(pico, treebank, tmp_path / "out", changes=changes, development=[str(treebank / "dev.conllu")])["training"][0]
    assert told["restarts"] == 2 and [attempt["seed"] for attempt in told["attempts"]] == [0, 1000, 2000]
    reached = [max(score for _, score in attempt["development"]) for attempt in told["attempts"]]
    assert told["kept"] == reached.index(max(reached))


def test_zero_shot_languages_are_averaged(pico: Callable[[str], Path], treebank: Path, tmp_path: Path) -> None:
    places = [f"de={treebank / 'test.conllu'}", f"fr={treebank / 'dev.conllu'}"]
    told = run(pico, treebank, tmp_path / "out", evaluation=places)
    values = [told["languages"][code]["scores"]["accuracy"]["mean"] for code in ("de", "fr")]
    assert told["scores"]["accuracy"]["mean"] == pytest.approx(np.mean(values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "poss"}, "Did you mean 'pos'"),
        ({"changes": ["epoch=3"]}, "Did you mean 'epochs'"),
        ({"changes": ["batch=0"]}, "batch = 0"),
        ({"evaluation": ["nowhere.conllu"]}, "nowhere.conllu"),
        ({"evaluation": ["xx-bad-=a.conllu"]}, "xx-bad-"),
    ],
)
def test_mistakes_are_named_and_leave_nothing(
    pico: Callable[[str], Path], treebank: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    asked: dict[str, Any] = {"task": "pos", "train": [str(treebank / "train.conllu")], "evaluation": [str(treebank / "test.conllu")]}
    with pytest.raises(LingraftError, match=message):
        evaluate(str(pico("bert")), out=tmp_path / "out", **{**asked, **change})
    assert not (tmp_path / "out").exists()


HEADS = {
    "capitals": (["CONTRADICTION", "Neutral", "ENTAILMENT"], "xnli", ["neutral", "entailment"], ["contradiction", "neutral", "entailment"]),
    "spellings": (["not_equivalent", "equivalent"], "glue/mrpc", ["1", "1"], ["0", "1"]),
    "numbers": (["LABEL_0", "LABEL_1"], "glue/mrpc", ["1", "1"], ["0", "1"]),
    "all labels": (["LABEL_0", "LABEL_1", "LABEL_2"], "xnli", ["neutral", "entailment"], ["contradiction", "entailment", "neutral"]),
    "two digits": ([f"LABEL_{i}" for i in range(12)], "classify", ["10", "9"], [str(i) for i in range(12)]),
    "alphabet": (["LABEL_0", "LABEL_1"], "classify", ["good", "bad"], ["bad", "good"]),
    "fewer": (["LABEL_0", "LABEL_1", "LABEL_2"], "classify", ["good", "bad"], None),
    "others": (["a", "b"], "xnli", ["neutral", "entailment"], None),
}


@pytest.mark.filterwarnings("ignore::lingraft.errors.LingraftWarning")
@pytest.mark.parametrize("case", [*HEADS])
def test_names_of_a_models_head_are_understood_or_refused(case: str, pico: Callable[[str], Path], tmp_path: Path) -> None:
    from lingraft.evaluate.classification import build
    from lingraft.model.load import load_tokenizer

    names, task, gold, meant = HEADS[case]
    build(str(pico("bert")), names).save_pretrained(tmp_path / "model")
    load_tokenizer(str(pico("bert"))).save_pretrained(tmp_path / "model")
    (tmp_path / "a.tsv").write_text("sentence1\tsentence2\tlabel\n" + "".join(f"one .\ttwo .\t{label}\n" for label in gold))
    exam = Exam(str(tmp_path / "model"), task, TASKS[task], [], [], {"und": TASKS[task].read(tmp_path / "a.tsv")}, TaskSettings())
    if meant:
        assert learner_of(exam, 0).labels == meant
    else:
        with pytest.raises(LingraftError, match="has the labels"):
            evaluate(exam.model, task=task, evaluation=[str(tmp_path / "a.tsv")], out=tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_another_model_in_the_same_folder_is_refused(pico: Callable[[str], Path], world: Any, tmp_path: Path) -> None:
    shutil.copytree(pico("bert"), tmp_path / "model")
    measured: dict[str, Any] = {
        "task": "language-modelling",
        "evaluation": [str(world.plain)],
        "changes": ["max_characters=200"],
        "out": tmp_path / "out",
    }
    assert evaluate(str(tmp_path / "model"), **measured)["weights"]
    assert evaluate(str(tmp_path / "model"), **measured)["languages"]["und"]["n"] > 1
    shutil.copytree(pico("gpt2"), tmp_path / "model", dirs_exist_ok=True)
    with pytest.raises(LingraftError, match="weights"):
        evaluate(str(tmp_path / "model"), **measured)


def test_what_fails_leaves_no_folder_that_it_did_not_find(pico: Callable[[str], Path], treebank: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "blank.txt").write_text("\n")
    shutil.copytree(pico("bert"), tmp_path / "model")
    measured: dict[str, Any] = {"task": "language-modelling", "evaluation": [str(tmp_path / "blank.txt")]}
    for out, message in (
        ("out", "no held-out text|There is no text"),
        ("file", "is a file"),
        ("file/a", "Cannot make"),
        ("model", "not a run"),
    ):
        with pytest.raises(LingraftError, match=message):
            evaluate(str(pico("bert")), **measured, out=tmp_path / out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blank.txt", "file", "model"]
    assert not (tmp_path / "model/.lock").exists()
    told = evaluate(
        str(pico("bert")), task="language-modelling", evaluation=["bundled:de"], out=tmp_path / "out", changes=["max_characters=200"]
    )
    assert told["languages"]["und"]["n"] >= 1


def test_command_line_prints_json_alone_on_stdout(pico: Callable[[str], Path], treebank: Path, tmp_path: Path, call: Call) -> None:
    sets = [part for change in QUICK for part in ("--set", change)]
    data = ["--train", treebank / "train.conllu", "--eval", treebank / "test.conllu", "--language", "de"]
    status, out, _ = call("evaluate", pico("bert"), "--task", "pos", *data, "--out", tmp_path / "out", *sets, "--json")
    assert status == 0 and set(json.loads(out)["scores"]["accuracy"]) >= {"mean", "sd", "n"}
    assert json.loads(out)["scores"]["accuracy"]["sd"] is None
    status, out, _ = call("evaluate", "--task", "list")
    assert status == 0 and [line.split()[0] for line in out.splitlines()] == [*TASKS, *MEASURES]


def test_batches_see_every_item_once_an_epoch() -> None:
    items = [{"input_ids": np.zeros(3, dtype=np.int64), "example": np.array(i)} for i in range(160)]
    batches = [Items(TAGGING, items, 0).batch(TaskSettings(batch=10), step, seed=3) for step in range(32)]
    epochs = [[int(item["example"]) for batch in half for item in batch] for half in (batches[:16], batches[16:])]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(160))
    assert epochs[0] != epochs[1]


def test_collate_pads_every_rank() -> None:
    items = [
        {"input_ids": np.array([5, 6]), "labels": np.array([1, 2]), "pairs": np.ones((1, 2)), "n": np.array(4), "example": np.array(0)},
        {"input_ids": np.array([7]), "labels": np.array([3]), "pairs": np.ones((2, 1)), "n": np.array(5), "example": np.array(1)},
    ]
    batch = {name: tensor.tolist() for name, tensor in collate(items, pad=9).items()}
    assert batch["input_ids"] == [[5, 6], [7, 9]] and batch["attention_mask"] == [[1, 1], [1, 0]]
    assert batch["labels"] == [[1, 2], [3, -100]] and batch["n"] == [4, 5]
    assert batch["pairs"] == [[[1, 1], [0, 0]], [[1, 0], [1, 0]]]


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "gpt2"])
def test_windows_hold_every_word_once(pico: Callable[[str], Path], family: str) -> None:
    from lingraft.model.load import load_tokenizer

    tokenizer = load_tokenizer(str(pico(family)))
    words = ["abc", "d", "efghijkl", "mn", "opq", "\u200b", "rstu"]
    for length in (8, 64):
        found = windows(words, tokenizer, length)
        assert [word for window in found for word in window.words] == list(range(len(words)))
        assert all(len(window.ids) <= length and len(window.first) == len(window.words) for window in found)


def test_a_word_is_tagged_at_its_first_piece_that_is_no_space() -> None:
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁", -3.0), ("▁ab", -2.0), (",", -2.0), ("c", -2.0)], unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    (window,) = windows(["ab", ",", "abc", "c"], fast, 16)
    assert fast.convert_ids_to_tokens(window.ids) == ["▁ab", "▁", ",", "▁ab", "c", "▁", "c"]
    assert (window.starts, window.first) == ([0, 1, 3, 5], [0, 2, 3, 6])


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("O B-PER I-PER O", {("PER", 1, 2)}),
        ("B-PER B-PER", {("PER", 0, 0), ("PER", 1, 1)}),
        ("I-PER I-LOC", {("PER", 0, 0), ("LOC", 1, 1)}),
        ("B-PER I-LOC I-LOC", {("PER", 0, 0), ("LOC", 1, 2)}),
        ("O O", set()),
        ("B-LOC O I-LOC", {("LOC", 0, 0), ("LOC", 2, 2)}),
        ("B I I B", {("_", 0, 2), ("_", 3, 3)}),
    ],
)
def test_spans_are_those_of_the_conll_evaluation(tags: str, found: set[tuple[str, int, int]]) -> None:
    assert spans(tags.split()) == found


def test_interval_narrows_with_examples_and_widens_with_seeds() -> None:
    generator = np.random.default_rng(0)
    few, many = (np.stack([generator.random(n) < 0.7, np.ones(n)], axis=1) for n in (50, 2000))
    widths = [np.subtract(*combined_interval(rows, accuracy, "accuracy", seed=0)[::-1]) for rows in ([few], [many])]
    assert widths[1] < widths[0] / 3
    apart = combined_interval([many, np.stack([many[:, 0] * 0, many[:, 1]], axis=1)], accuracy, "accuracy", seed=0)
    assert apart[1] - apart[0] > 0.5
    assert summary([0.5]) == {"mean": 0.5, "sd": None, "n": 1}
    assert summary([0.0, 1.0])["sd"] == pytest.approx(np.sqrt(0.5))


def test_places_may_be_folders_records_and_the_hub(treebank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    plain = TASKS["pos"].read(treebank / "test.conllu")
    assert TASKS["pos"].read(Path(f"{treebank}#split=test")) == plain
    assert len(TASKS["parsing"].read(Path(f"{treebank}#test"))) == len(plain)
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"tokens": s.words, "upos": s.tags}) + "\n" for s in plain))
    assert TASKS["pos"].read(tmp_path / "a.jsonl") == plain
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"forms": s.words, "kinds": s.tags}) + "\n" for s in plain))
    assert TASKS["pos"].read(Path(f"{tmp_path}/a.jsonl#text=forms&label=kinds")) == plain
    tags = datasets.List(datasets.ClassLabel(names=["O", "B-PER"]))
    rows = {"tokens": [["Anna", "runs"]], "ner_tags": [[1, 0]]}
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), "ner_tags": tags})
    monkeypatch.setattr(datasets, "load_dataset", lambda *names, **options: datasets.Dataset.from_dict(rows, features))
    assert TASKS["ner"].read(Path("hub:owner/name")) == [Sentence(["Anna", "runs"], ["B-PER", "O"])]
    asked = {"id": "1", "context": "It is red.", "question": "What?", "answers": {"text": ["red"], "answer_start": [6]}}
    (tmp_path / "b.jsonl").write_text(json.dumps(asked) + "\n")
    (found,) = TASKS["squad"].read(tmp_path / "b.jsonl")
    assert (found.answers, found.starts) == (["red"], [6])
    asked = {"id": "2", "question": "What?", "answers": [{"text": "red", "answer_start": 6}]}
    documents = [{"paragraphs": [{"context": f"It is red. {number}", "qas": [asked]}]} for number in range(3)]
    (tmp_path / "c.v1.json").write_text(json.dumps({"data": documents}))
    assert [len(TASKS["qa"].read(Path(f"{tmp_path}/c.v1.json{part}"))) for part in ("", "#documents=1:3")] == [3, 2]


def test_parses_are_written_as_conllu_too(pico: Callable[[str], Path], treebank: Path, tmp_path: Path) -> None:
    changes = ["steps=3", "precision=float32"]
    data = {"train": [str(treebank / "train.conllu")], "evaluation": [f"de={treebank / 'test.conllu'}"]}
    told = evaluate(str(pico("bert")), task="parsing", out=tmp_path / "out", changes=changes, keep=True, **data)  # type: ignore[arg-type]
    written = TASKS["parsing"].read(tmp_path / "out/seeds/0/predictions-de.conllu")
    gold = TASKS["parsing"].read(treebank / "test.conllu")
    right = sum(a == b for one, other in zip(written, gold, strict=True) for a, b in zip(one.heads, other.heads, strict=True))
    assert told["scores"]["uas"]["mean"] == pytest.approx(right / sum(len(tree.words) for tree in gold))
    own = evaluate(str(tmp_path / "out/seeds/0/model"), task="parsing", evaluation=data["evaluation"], out=tmp_path / "own")
    assert own["scores"]["las"]["mean"] == told["scores"]["las"]["mean"]
    for task in ("parsing", "srl"):
        with pytest.raises(LingraftError, match="has no head for the task"):
            evaluate(str(pico("bert")), task=task, evaluation=data["evaluation"] if task == "parsing" else [], out=tmp_path / "none")
