"""Swapping: the folder computes what a model put together by hand computes; what does not fit is refused; nothing else is touched."""

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from conftest import World
from safetensors.torch import load_file
from small_runs import reversed_ids, tagged

import lingraft
from lingraft.errors import LingraftError, LingraftWarning, RunError
from lingraft.evaluate.table import TASKS
from lingraft.evaluation import evaluate
from lingraft.files import digest, read_json, write_json

Pico = Callable[[str], Path]
Call = Callable[..., tuple[int, str, str]]
SMALL = ["tokenizer.size=300", "batch=4", "length=32", "evaluation.max_characters=2000", "precision=float32", "steps=3"]
QUICK = ["steps=4", "batch=8", "learning_rate=5e-3", "precision=float32"]
ROLES = ("cls_token_id", "sep_token_id", "pad_token_id", "unk_token_id", "mask_token_id")


@pytest.fixture(scope="module")
def data(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Task -> a small file of examples."""
    folder = tmp_path_factory.mktemp("data")
    lines = [line for line in world.plain.read_text().splitlines() if line][:24]
    rows = [
        [f"{i}\t{w}\t_\tT{len(w) % 3}\t_\t_\t{i - 1}\t{'dep' if i > 1 else 'root'}\t_\t_" for i, w in enumerate(s.split(), 1)]
        for s in lines
    ]
    (folder / "train.conllu").write_text("".join("\n".join(row) + "\n\n" for row in rows))
    (folder / "train.tsv").write_text("text\tlabel\n" + "".join(f"{line}\t{'even' if len(line) % 2 else 'odd'}\n" for line in lines))
    asked = [
        {"id": str(i), "question": c.split()[0], "answers": [{"text": c.split()[1], "answer_start": len(c.split()[0]) + 1}]}
        for i, c in enumerate(lines)
    ]
    paragraphs = [{"context": context, "qas": [question]} for context, question in zip(lines, asked, strict=True)]
    (folder / "train.json").write_text(json.dumps({"data": [{"title": "", "paragraphs": paragraphs}]}))
    return {
        "pos": str(folder / "train.conllu"),
        "parsing": str(folder / "train.conllu"),
        "classify": str(folder / "train.tsv"),
        "qa": str(folder / "train.json"),
    }


@pytest.fixture(scope="module", autouse=True)
def no_reports() -> Iterator[None]:
    """Runs leave no report: pictures take most of their time here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lingraft.stages.write_report", lambda runs: None)
        yield


@pytest.fixture(scope="module")
def grafts(pico: Pico, world: World, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Runs on a frozen body, by family, and more of their changes."""
    made: dict[tuple[str, ...], Path] = {}

    def get(family: str, *changes: str) -> Path:
        if (family, *changes) not in made:
            out = tmp_path_factory.mktemp("graft") / "de"
            asked = [*SMALL, 'phases.train.train=["words"]', *changes]
            lingraft.transfer(str(pico(family)), to="de", text=str(world.cipher), recipe="copy", changes=asked, out=out)
            made[(family, *changes)] = out
        return made[(family, *changes)]

    return get


@pytest.fixture(scope="module")
def tasks(pico: Pico, data: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Task models, by family, task and what is frozen."""
    made: dict[tuple[str, ...], Path] = {}

    def get(family: str, task: str = "pos", *freeze: str) -> Path:
        key = (family, task, *(freeze or ("embeddings",)))
        if key not in made:
            out = tmp_path_factory.mktemp("task") / task
            lingraft.finetune(str(pico(family)), task=task, train=data[task], freeze=key[2:], changes=[*QUICK, "length=48"], out=out)
            made[key] = out
        return made[key]

    return get


@torch.no_grad()
def composed(model: Any, source: Any, graft: Path, ids: torch.Tensor, positions: torch.Tensor | None) -> Any:
    """What the task model puts out where its words are the graft's, put in by hand."""
    tokenizer, tensors = transformers.AutoTokenizer.from_pretrained(graft), load_file(graft / "model.safetensors")
    rows = next(tensor for name, tensor in tensors.items() if name.endswith("word_embeddings.weight")).clone()
    for role in ROLES:
        rows[getattr(tokenizer, role)] = model.get_input_embeddings().weight[getattr(source, role)]
    pad, table = model.config.pad_token_id, next(m for n, m in model.named_modules() if n.endswith("position_embeddings"))
    first = 0 if table.padding_idx is None else pad + 1
    if positions is not None:
        table.weight.copy_(positions)
    return model(inputs_embeds=rows[ids], position_ids=first + torch.arange(ids.shape[1]).unsqueeze(0))


@pytest.mark.parametrize(("family", "task"), [("bert", "pos"), ("bert", "qa"), ("roberta", "classify"), ("roberta", "parsing")])
def test_logits_are_those_of_a_model_put_together_by_hand(
    family: str, task: str, grafts: Callable[..., Path], tasks: Callable[..., Path], tmp_path: Path
) -> None:
    source, graft = tasks(family, task) / "model", grafts(family, "tokenizer.algorithm=unigram") / "model"
    told = lingraft.swap(tasks(family, task), graft=graft.parent, out=tmp_path / "out")
    config = json.loads((tmp_path / "out/config.json").read_text())
    loader = getattr(transformers, config["architectures"][0])
    swapped, mine = (loader.from_pretrained(folder).eval() for folder in (tmp_path / "out", source))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.get_vocab() == transformers.AutoTokenizer.from_pretrained(graft).get_vocab()
    ids = torch.tensor([[tokenizer.cls_token_id, *range(100, 110), tokenizer.mask_token_id, 7, tokenizer.sep_token_id]])
    wanted = composed(mine, transformers.AutoTokenizer.from_pretrained(source), graft, ids, None)
    swapped.requires_grad_(False)
    padded = torch.nn.functional.pad(ids, (0, 3), value=tokenizer.pad_token_id)
    found, masked = swapped(input_ids=ids), swapped(input_ids=padded, attention_mask=(padded != tokenizer.pad_token_id).long())
    for name in ("logits", "start_logits", "end_logits", "last_hidden_state"):
        if name in wanted:
            torch.testing.assert_close(found[name], wanted[name])
            cut = masked[name][:, : ids.shape[1]] if task != "classify" else masked[name]
            torch.testing.assert_close(cut, wanted[name])
    assert config["vocab_size"] == len(tokenizer) and config["pad_token_id"] == tokenizer.pad_token_id
    assert config.get("id2label") == json.loads((source / "config.json").read_text()).get("id2label")
    assert (tmp_path / "out/head.safetensors").exists() == (task == "parsing")
    assert told["language"] == "de" and told["task"] == task and told["special_rows"] >= 5


def test_positions_that_are_counted_from_another_padding_id_are_the_same(
    pico: Pico, grafts: Callable[..., Path], tasks: Callable[..., Path], tmp_path: Path
) -> None:
    tokenizer = reversed_ids(pico("roberta"), str, tmp_path / "tokenizer", 3)
    graft, source = grafts("roberta", f"tokenizer.read={tokenizer}"), tasks("roberta", "classify") / "model"
    lingraft.swap(tasks("roberta", "classify"), graft=graft, out=tmp_path / "out")
    swapped, mine = (transformers.AutoModelForSequenceClassification.from_pretrained(place).eval() for place in (tmp_path / "out", source))
    old, new = (transformers.AutoTokenizer.from_pretrained(place) for place in (source, tmp_path / "out"))
    assert swapped.config.pad_token_id == new.pad_token_id != old.pad_token_id
    ids = torch.tensor([[new.cls_token_id, *range(100, 110), new.sep_token_id]])
    wanted = composed(mine, old, graft / "model", ids, None)
    torch.testing.assert_close(swapped(input_ids=ids).logits, wanted.logits)


def test_a_swapped_folder_is_scored_by_its_own_head(
    grafts: Callable[..., Path], tasks: Callable[..., Path], data: dict[str, str], tmp_path: Path, call: Call
) -> None:
    status, out, _ = call("swap", tasks("bert", "parsing"), "--graft", grafts("bert"), "--out", tmp_path / "out")
    assert status == 0 and "parsing in de" in out
    status, out, _ = call("swap", tasks("bert", "parsing"), "--graft", grafts("bert"), "--out", tmp_path / "out", "--json")
    assert status == 0 and json.loads(out)["task"] == "parsing"
    assert (
        TASKS["parsing"].main in evaluate(str(tmp_path / "out"), task="parsing", evaluation=[data["parsing"]], out=tmp_path / "e")["scores"]
    )


def test_more_grafts_touch_nothing_that_is_there(grafts: Callable[..., Path], tasks: Callable[..., Path], tmp_path: Path) -> None:
    task, first = tasks("bert"), grafts("bert")
    lingraft.swap(task, graft=first, out=tmp_path / "de")
    before = [digest(path) for path in (task, first, tmp_path / "de")]
    lingraft.swap(task, graft=grafts("bert", "rows.method=random"), out=tmp_path / "other")
    lingraft.swap(task, graft=first, out=tmp_path / "again")
    assert [digest(path) for path in (task, first, tmp_path / "de")] == before
    assert digest(tmp_path / "again") == digest(tmp_path / "de") != digest(tmp_path / "other")
    assert lingraft.swap(task, graft=first, out=tmp_path / "de") == read_json(tmp_path / "de/swap.json")
    assert digest(tmp_path / "de") == before[2]
    with pytest.raises(RunError, match="holds something else"):
        lingraft.swap(task, graft=grafts("bert", "rows.method=random"), out=tmp_path / "de")


def test_own_positions_come_along_where_the_task_models_stayed(
    grafts: Callable[..., Path], tasks: Callable[..., Path], tmp_path: Path
) -> None:
    graft = grafts("roberta", 'phases.train.train=["words", "positions"]', "tokenizer.algorithm=unigram")
    with pytest.raises(RunError, match="positions of its own"):
        lingraft.swap(tasks("roberta"), graft=graft, out=tmp_path / "no")
    task = tasks("roberta", "pos", "embeddings", "positions")
    assert lingraft.swap(task, graft=graft, out=tmp_path / "out")["positions"]
    swapped, mine = (
        transformers.AutoModelForTokenClassification.from_pretrained(folder).eval() for folder in (tmp_path / "out", task / "model")
    )
    theirs = load_file(graft / "model/model.safetensors")["roberta.embeddings.position_embeddings.weight"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert torch.equal(swapped.roberta.embeddings.position_embeddings.weight, theirs)
    ids = torch.tensor([[tokenizer.cls_token_id, *range(50, 60), tokenizer.sep_token_id]])
    moved = torch.roll(theirs, mine.config.pad_token_id - tokenizer.pad_token_id, dims=0)
    source = transformers.AutoTokenizer.from_pretrained(task / "model")
    torch.testing.assert_close(
        swapped.requires_grad_(False)(input_ids=ids).logits, composed(mine, source, graft / "model", ids, moved).logits
    )


def test_what_does_not_fit_is_refused(
    grafts: Callable[..., Path], tasks: Callable[..., Path], pico: Pico, data: dict[str, str], world: World, tmp_path: Path
) -> None:
    def refused(task: Path, graft: Path, message: str, **more: Any) -> None:
        with pytest.raises(LingraftError, match=message):
            lingraft.swap(task, graft=graft, out=tmp_path / "no", **more)
        assert not (tmp_path / "no").exists()

    graft, task = grafts("bert"), tasks("bert")
    refused(task, grafts("bert", 'phases.train.train=["all"]'), "this run trained the body itself", force=True)
    refused(tasks("roberta"), graft, "not of the task model's build: roberta and bert")
    refused(tasks("electra"), grafts("bert"), "not of the task model's build", force=True)
    other = transformers.BertForTokenClassification(transformers.AutoConfig.from_pretrained(task / "model"))
    other.save_pretrained(tmp_path / "other")
    transformers.AutoTokenizer.from_pretrained(task / "model").save_pretrained(tmp_path / "other")
    refused(tmp_path / "other", graft, "say so with --force")
    assert lingraft.swap(tmp_path / "other", graft=graft, out=tmp_path / "forced", force=True)["body"] is None
    refused(tmp_path / "other", grafts("bert", 'phases.train.train=["all"]'), "this run trained the body itself", force=True)
    base = lingraft.transfer(str(pico("bert")), to="en", text=str(world.plain), recipe="copy", changes=SMALL, out=tmp_path / "en")
    lingraft.finetune(str(base.path), task="pos", train=data["pos"], freeze=["embeddings"], changes=QUICK, out=tmp_path / "en-pos")
    refused(tmp_path / "en-pos", graft, "the graft was made for another body")
    bordered = grafts("bert", 'phases.train.train=["embeddings", "head"]') / "model"  # the same body, other segments
    lingraft.finetune(str(bordered), task="pos", train=data["pos"], freeze=["embeddings"], changes=QUICK, out=tmp_path / "bordered")
    refused(tmp_path / "bordered", graft, "the same body, but segments or positions of its own")
    shallow = transformers.AutoConfig.from_pretrained(task / "model", num_hidden_layers=other.config.num_hidden_layers - 1)
    transformers.BertForTokenClassification(shallow).save_pretrained(tmp_path / "shallow")
    transformers.AutoTokenizer.from_pretrained(task / "model").save_pretrained(tmp_path / "shallow")
    refused(tmp_path / "shallow", graft, "not of the task model's build", force=True)
    refused(pico("bert"), graft, "holds no task model but BertForMaskedLM", force=True)
    refused(task, pico("bert"), "is not a run")
    (tmp_path / "begun/.stages").mkdir(parents=True)
    write_json(tmp_path / "begun/run.json", {"language": "de"})
    refused(task, tmp_path / "begun", "no finished transfer")
    write_json(tmp_path / "begun/.stages/fine-tuning.json", {})
    refused(tmp_path / "begun", graft, "no finished task model")
    refused(task, task, "a task model, not a graft")
    refused(base.path, graft, "holds no task model but BertForMaskedLM")
    refused(tmp_path / "nowhere", graft, "There is no folder")
    refused(tmp_path / "forced", graft, "was swapped already", force=True)


def test_what_makes_it_worse_is_said(grafts: Callable[..., Path], tasks: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.warns(LingraftWarning, match="word rows trained"):
        lingraft.swap(tasks("bert", "pos", "head"), graft=grafts("bert"), out=tmp_path / "a")
    graft = grafts("bert", 'phases.train.train=["embeddings", "head"]')
    with pytest.warns(LingraftWarning, match="norm or segments"):
        lingraft.swap(tasks("bert", "pos", "embeddings", "positions"), graft=graft, out=tmp_path / "b")
    with warnings.catch_warnings():
        warnings.simplefilter("error", LingraftWarning)
        lingraft.swap(tasks("bert"), graft=grafts("bert"), out=tmp_path / "c")


def test_a_language_of_a_disjoint_run_is_a_graft_of_the_others_body(pico: Pico, data: dict[str, str], world: World, tmp_path: Path) -> None:
    changes = [*SMALL, "batch=2"]
    asked = {"to": "de", "text": str(world.cipher), "source_text": f"en={world.plain}", "recipe": "disjoint"}
    run = lingraft.transfer(str(pico("bert")), **asked, changes=changes, out=tmp_path / "both")
    lingraft.finetune(str(run.path / "model-en"), task="pos", train=data["pos"], freeze=["embeddings"], changes=QUICK, out=tmp_path / "pos")
    assert lingraft.swap(tmp_path / "pos", graft=run.path, out=tmp_path / "de")["language"] == "de"
    assert lingraft.swap(tmp_path / "pos", graft=run.path / "model-en", out=tmp_path / "en")["language"] == "en"
    with pytest.raises(LingraftError, match="has model, model-en"):
        lingraft.swap(tmp_path / "pos", graft=run.path / "model-fr", out=tmp_path / "fr")
    same, mine = (load_file(folder / "model.safetensors") for folder in (tmp_path / "en", tmp_path / "pos/model"))
    assert all(torch.equal(same[name], mine[name]) for name in same)


@pytest.mark.parametrize(
    ("family", "recipe"),
    [("gpt2", "monotrans"), ("roberta", "monotrans-adapters"), ("bert", "monotrans-invertible"), ("bert", "monotrans-lora")],
)
def test_with_a_body_that_stayed_the_states_are_the_grafts_own(
    family: str, recipe: str, pico: Pico, world: World, data: dict[str, str], tmp_path: Path
) -> None:
    if recipe == "monotrans-lora":
        pytest.importorskip("peft")
    more = ["tokenizer.algorithm=bpe"] if family == "gpt2" else []
    run = lingraft.transfer(
        str(pico(family)), to="de", text=str(world.cipher), recipe=recipe, changes=[*SMALL, *more], out=tmp_path / "run"
    )
    changes = [*QUICK, 'train=["head"]', "length=48"]
    lingraft.finetune(str(pico(family)), task="classify", train=data["classify"], changes=changes, out=tmp_path / "task")
    before = [digest(run.path), digest(tmp_path / "task")]
    told = lingraft.swap(tmp_path / "task", graft=run.path, out=tmp_path / "out")
    assert [digest(run.path), digest(tmp_path / "task")] == before
    (swapped, tokenizer), (own, _) = lingraft.load(tmp_path / "out"), lingraft.load(run.path / "model")
    ids = torch.tensor([tokenizer("a b c").input_ids + list(range(50, 60))])
    states = [model.eval().requires_grad_(False).base_model(input_ids=ids)[0] for model in (swapped, own)]
    torch.testing.assert_close(*states)
    assert type(swapped).__name__.endswith("ForSequenceClassification")
    assert told["positions"] == (recipe != "monotrans") and (told["adapters"] or "") in f"bottleneck {recipe}"
    assert (tmp_path / "out/adapters.safetensors").exists() == bool(told["adapters"])


def test_a_bare_first_token_has_the_task_models_segment(pico: Pico, world: World, data: dict[str, str], tmp_path: Path) -> None:
    """Whether or not the model that was fine-tuned had one: bringing it there changes nothing of what it does."""
    run = lingraft.transfer(str(pico("bert")), to="de", text=str(world.cipher), recipe="monotrans-pos", changes=SMALL, out=tmp_path / "run")
    freeze = ["embeddings", "positions"]
    lingraft.finetune(str(pico("bert")), task="pos", train=data["pos"], freeze=freeze, changes=QUICK, out=tmp_path / "task")
    lingraft.swap(tmp_path / "task", graft=run.path, out=tmp_path / "out")
    mine, theirs, found = (
        {
            name.partition("embeddings.")[2]: tensor
            for name, tensor in load_file(folder / "model.safetensors").items()
            if "embeddings." in name
        }
        for folder in (tmp_path / "task/model", run.path / "model", tmp_path / "out")
    )
    positions, segments, words = (f"{name}_embeddings.weight" for name in ("position", "token_type", "word"))
    assert torch.equal(found[segments], mine[segments]) and not torch.equal(mine[segments], theirs[segments])
    assert torch.equal(found[positions][0], -mine[segments][0]) and torch.equal(found[positions][1:], theirs[positions][1:])
    begin = [transformers.AutoTokenizer.from_pretrained(folder).cls_token_id for folder in (tmp_path / "task/model", tmp_path / "out")]
    torch.testing.assert_close(found[words][begin[1]], mine[words][begin[0]] + mine[positions][0] + mine[segments][0])


def test_the_whole_way_in_the_cipher_world(pico: Pico, world: World, tmp_path: Path) -> None:
    """The tag drawn for a word is that of its cipher too: the lexicon's rows bring English's accuracy, random ones nothing."""
    places, majority = tagged(world, tmp_path)
    changes = ["steps=140", "batch=16", "learning_rate=1e-2", "precision=float32"]
    told = lingraft.finetune(
        str(pico("bert")), task="pos", train=str(places["train"]), freeze=["embeddings"], changes=changes, out=tmp_path / "task"
    )
    assert told["frozen"] == ["words"]

    def score(model: Path, code: str) -> float:
        found = evaluate(str(model), task="pos", evaluation=[f"{code}={places[code]}"], out=tmp_path / f"score-{model.name}")
        return float(found["scores"]["accuracy"]["mean"])

    reached = {"en": score(tmp_path / "task", "en")}
    for method in ("lexicon", "random"):
        asked = [*SMALL, "tokenizer.size=400", 'phases.train.train=["words"]', "learning_rate=1e-4", f"rows.method={method}"]
        more = {"lexicon": str(world.lexicon)} if method == "lexicon" else {}
        run = lingraft.transfer(
            str(pico("bert")), to="de", text=str(world.cipher), recipe="copy", changes=asked, out=tmp_path / f"graft-{method}", **more
        )
        lingraft.swap(tmp_path / "task", graft=run.path, out=tmp_path / method)
        reached[method] = score(tmp_path / method, "de")
    assert reached["en"] > majority + 0.15 and reached["lexicon"] > reached["en"] - 0.05
    assert reached["random"] < majority + 0.05


def test_a_bare_graft_and_a_task_that_is_not_fit_and_the_other_way_round(
    pico: Pico, world: World, data: dict[str, str], tmp_path: Path
) -> None:
    """The body and what it sees are the same."""
    whole, bare = [
        lingraft.transfer(
            str(pico("bert")),
            to="de",
            text=str(world.cipher),
            recipe="monotrans",
            changes=[*SMALL, f"surgery.bare_begin={how}"],
            out=tmp_path / how,
        )
        for how in ("false", "true")
    ]
    untrained = [*SMALL, "steps=0", "surgery.bare_begin=true"]
    body = lingraft.transfer(str(pico("bert")), to="en", text=str(world.plain), recipe="copy", changes=untrained, out=tmp_path / "body")
    for name, model, graft in (("one", str(pico("bert")), bare), ("other", str(body.path), whole)):
        lingraft.finetune(model, task="pos", train=data["pos"], freeze=["embeddings"], changes=QUICK, out=tmp_path / name)
        assert lingraft.swap(tmp_path / name, graft=graft.path, out=tmp_path / f"{name}-de")["language"] == "de"
