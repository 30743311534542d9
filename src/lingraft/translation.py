"""`lingraft translate`: what a masked language model of two languages puts at each place of a text of the other one. A probe."""

import contextlib
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from lingraft.embeddings.rows import Ints, picked
from lingraft.errors import Interrupted, LingraftWarning, ModelError, RunError, TextError, suggest
from lingraft.evaluate.bleu import bleu, signature
from lingraft.grafting import set_meeting
from lingraft.languages import parse
from lingraft.machine import processes
from lingraft.model.load import kind_of, load_config, load_model, load_tokenizer
from lingraft.model.parts import longest_input
from lingraft.model.surgery import graft
from lingraft.recipe import load_recipe
from lingraft.run import FACTS, RECIPE, Run, model_folder
from lingraft.text.lexicon import write_lines
from lingraft.text.read import lines
from lingraft.text.words import word_kind
from lingraft.tokenizer import vocabulary
from lingraft.tongues import beside
from lingraft.train import checkpoint

NOTE = (
    "A probe of what the model knows of the two languages, and not a translator: one token is read off each place of the input, "
    "so that the order and the number of words stay the input's."
)
AT_ONCE = 1_024  # lines
MOST = 1 << 26  # predictions (places x vocabulary) at once: 256 MiB
UNSPACED = re.compile(r"(?<![!-~]) | (?![!-~])")


@dataclass(frozen=True, slots=True)
class Reading:
    """A model, and how translations are read off it. phase: of its run, whose weights it has; "": the finished model's.

    tokenizer, writer: of the input, and of what comes out. ids, written: with a vocabulary for each language the model's ids of their
    tokens; None: the same.
    """

    model: Any
    tokenizer: PreTrainedTokenizerBase
    source: str | None
    target: str | None
    phase: str
    to_source: bool
    writer: PreTrainedTokenizerBase
    ids: Ints | None = None
    written: Ints | None = None

    def placed(self, ids: Iterable[int]) -> list[int]:
        """The model's ids of the input's."""
        return list(ids) if self.ids is None else self.ids[list(ids)].tolist()  # type: ignore[no-any-return]

    @property
    def into(self) -> str | None:
        """The code of the language that comes out."""
        return self.source if self.to_source else self.target


def translate(
    run: str | Path,
    *,
    text: str | Path,
    reference: str | Path | None = None,
    out: str | Path | None = None,
    to_source: bool = False,
    phase: str = "",
    language: str = "",
) -> dict[str, Any]:
    """Read a translation of each line of `text` off a model; the table of what `lingraft translate --json` prints.

    run: a run folder, or a masked language model that knows both languages. reference: translations, line by line, to score with BLEU
    beside the input itself. out: the translations' file; without it they are in the answer. to_source: from the target's language into the
    source's. phase: whose weights to take (default: see `chosen`). language: of what comes out, where the folder does not say.
    Raises LingraftError where something the user gave is wrong.
    """
    found = opened(run, to_source=to_source, phase=phase)
    code = parse(language).code if language else found.into
    if reference is not None and code is None:
        raise RunError(f"{run} does not say which languages it knows, and BLEU depends on that. Name the translations' with --language.")
    answer: dict[str, Any] = {"model": str(run), "phase": found.phase, "language": code, "probe": NOTE}
    try:
        made = translated(found, lines(str(text)), code)
        if out is not None and reference is None:
            write_lines(Path(out), counted(made, answer))
            return answer | {"out": str(out)}
        kept = list(made)
    except KeyboardInterrupt:
        raise Interrupted("Interrupted: nothing is written. The same command begins anew.") from None
    if reference is not None and code is not None:
        folded, names = vocabulary.lowers_case(found.writer), (str(text), str(reference))
        answer |= _scored(list(lines(str(text))), kept, list(lines(str(reference))), code, folded, names)
    if out is not None:
        write_lines(Path(out), kept)
    return answer | {"lines": len(kept)} | ({"translations": kept} if out is None else {"out": str(out)})


def counted(texts: Iterable[str], answer: dict[str, Any]) -> Iterator[str]:
    """The texts; their number goes into `answer`."""
    answer["lines"] = 0
    for answer["lines"], line in enumerate(texts, 1):
        yield line


def _scored(inputs: list[str], found: list[str], right: list[str], code: str, folded: bool, names: tuple[str, str]) -> dict[str, Any]:
    """BLEU of translations, and of the inputs as if they were translations; folded: case does not count.

    Raises TextError where the numbers of lines differ.
    """
    if len(right) != len(found):
        raise TextError(f"{names[1]} has {len(right):,} lines, {names[0]} has {len(found):,}. A reference stands on the line of its text.")
    if not found:
        raise TextError(f"{names[0]} is empty.")
    scores, baseline = (bleu(made, right, code, lowercase=folded) for made in (found, inputs))
    return {"scores": scores, "baseline": baseline, "signature": signature(code, lowercase=folded)}


# --- the model ------------------------------------------------------------------------------------------------------


def opened(run: str | Path, *, to_source: bool = False, phase: str = "") -> Reading:
    """The model of a run or of a folder, ready to read. Raises ModelError where it does not predict masked words, RunError for a phase
    that the run has not done, or without a second language to translate into."""
    folder = model_folder(str(run))
    if (Path(run) / RECIPE).is_file() and not Run(run).is_complete("model"):
        raise RunError(f"{run} is not finished. Run the same `lingraft transfer` command again: it goes on where it stopped.")
    if kind_of(config := load_config(folder)) != "mlm":
        raise ModelError(f"{run} predicts the next word. Translations are read off masked language models.")
    model, missing = load_model(folder, "mlm", seed=0)
    if missing:
        raise ModelError(f"The model in {run} has no head for predicting tokens. Give a masked language model.")
    source, target = _languages(run, config)
    if to_source and not hasattr(config, "lingraft_languages") and source is None:
        raise RunError(f"{run} does not say what the source's language is, so there is no --to-source.")
    if _reads_one_language(Path(run)):
        said = f"The tokenizer of {run} was made for one language alone: what is read off this model is no translation."
        warnings.warn(said, LingraftWarning, stacklevel=3)
    separate = _separate(model, Path(run), str(target))
    name = _with_phase(model, Path(run), phase, to_source)
    (tokenizer, ids), (writer, written) = separate[:: -1 if to_source else 1] if separate else [(load_tokenizer(folder), None)] * 2
    return Reading(model.eval().to(processes().device), tokenizer, source, target, name, to_source, writer, ids, written)


def _reads_one_language(run: Path) -> bool:
    """Whether a run trained its tokenizer on the target's text alone."""
    made = load_recipe(str(run / RECIPE)).tokenizer if (run / RECIPE).is_file() else None
    return made is not None and made.vocabulary == "replace" and made.read is None


def _separate(model: Any, run: Path, target: str) -> list[tuple[PreTrainedTokenizerBase, Ints]]:
    """Where a run has a vocabulary for each language: the tokenizers of the source and the target with the ids of their tokens in its
    phases, into which `model`, that has the target's alone, is brought; its rows are yet to be filled in. Empty: it has not."""
    if not (run / RECIPE).is_file() or load_recipe(str(run / RECIPE)).tokenizer.vocabulary != "disjoint":
        return []
    places = [run / "tokenizer" / name for name in ("source", target)]
    if not all(place.is_dir() for place in places):
        raise RunError(f"{run} has a vocabulary for each of several languages: there are no two of them to translate between.")
    old, new = (load_tokenizer(str(place)) for place in places)
    own, ids = beside([old, new])
    size, roles = len(set(own) | set(ids)), {role: int(ids[number]) for role, number in vocabulary.roles(new).items()}
    graft(model, picked(np.zeros(size, dtype=np.int64), model.get_input_embeddings().weight.shape[0]), roles, seed=0)
    return [(old, own), (new, ids)]


def _languages(run: str | Path, config: Any) -> tuple[str | None, str | None]:
    """Codes of the source's language and the target's, as the model or its run names them."""
    if named := getattr(config, "lingraft_languages", None):
        return named[0], named[1]
    facts = Run(run).facts if (Path(run) / FACTS).is_file() else {}
    target = facts.get("language")
    others = [code for code in facts.get("text") or {} if code not in (target, "source")]  # a transfer calls its other text "source"
    return next(iter(others), None), target if isinstance(target, str) else None


def chosen(run: Path, to_source: bool) -> str:
    """The phase whose model the paper reads translations off (appendix A.7): the last that trained cdlm in this direction; "": there is
    none, the finished model is read."""
    wanted, found = "to-source" if to_source else "to-target", ""
    for name, settings in load_recipe(str(run / RECIPE)).phases.items():
        if "cdlm" in settings.objectives and getattr(settings, "direction", "both") in (wanted, "both"):
            found = name
    return found


def _with_phase(model: Any, run: Path, phase: str, to_source: bool) -> str:
    """Put the weights of a phase into the run's model, and return its name. Raises RunError where they do not fit, or there are none."""
    if not (run / RECIPE).is_file():
        if phase:
            raise RunError(f"{run} is not a run, and has no phases. Leave out --phase.")
        return ""
    name = phase or chosen(run, to_source)
    if not name:
        if load_recipe(str(run / RECIPE)).tokenizer.vocabulary == "disjoint":
            raise RunError(
                f"{run} has a vocabulary for each language, and its finished model the target's alone. Name the phase whose model, which "
                "has both, is to be read: --phase NAME."
            )
        return ""
    if phase and phase not in (known := load_recipe(str(run / RECIPE)).phases):
        raise RunError(f"{run} has no phase {phase!r}. {suggest(phase, known)}")
    result = checkpoint.latest(run / "phases" / name) if (run / "phases" / name).is_dir() else None
    if result is not None and checkpoint.fits(model, result):
        checkpoint.restore_weights(model, result)
        set_meeting(recipe := load_recipe(str(run / RECIPE)), model, recipe.phases[name])
        return name
    why = "is gone" if result is None else "is of another shape than its finished model"
    if phase:
        raise RunError(f"The result of phase {name!r} in {run} {why}. Leave out --phase to read the finished model.")
    if load_recipe(str(run / RECIPE)).tokenizer.vocabulary == "disjoint":
        raise RunError(f"The result of phase {name!r} in {run} {why}, and the finished model reads the target's language alone.")
    warnings.warn(f"The result of phase {name!r} {why}: the finished model is read.", LingraftWarning, stacklevel=3)
    return ""


# --- reading --------------------------------------------------------------------------------------------------------


def translated(found: Reading, texts: Iterable[str], language: str | None = None) -> Iterator[str]:
    """A translation of each line, in order; of an empty line an empty one. Lines that are too long are cut, with a warning."""
    before, after = vocabulary.blocks(found.tokenizer)
    longest = longest_input(found.model)
    room = None if longest is None else longest - len(before) - len(after)
    num_cut, rest = 0, iter(texts)
    is_spaced = language is None or word_kind(language) == "whitespace"
    while some := list(islice(rest, AT_ONCE)):
        encoded = found.tokenizer(some, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        num_cut += sum(room is not None and len(ids) > room for ids in encoded)
        framed = {number: found.placed([*before, *ids[:room], *after]) for number, ids in enumerate(encoded) if ids}
        read = {number: tidied(ids, found.writer) for number, ids in predictions(found, framed, len(before))}
        for number in range(len(some)):
            line = found.writer.decode(read.get(number, []), skip_special_tokens=True)
            yield " ".join((line if is_spaced else UNSPACED.sub("", line)).split())
    if num_cut:
        warnings.warn(
            f"{num_cut:,} lines are longer than the model's {room} tokens: their ends were left out.", LingraftWarning, stacklevel=2
        )


@torch.no_grad()
def predictions(found: Reading, framed: dict[int, list[int]], first: int) -> Iterator[tuple[int, list[int]]]:
    """For each number the writer's likeliest token at every place from `first` on, in the order of the input (the identity alignment)."""
    order = sorted(framed, key=lambda number: len(framed[number]))
    device = next(found.model.parameters()).device
    size = found.model.get_output_embeddings().weight.shape[0]
    while order:
        most = max(1, MOST // (size * len(framed[order[-1]])))
        some, order = order[-most:], order[:-most]
        ids, mask = _padded([framed[number] for number in some], *found.placed([found.tokenizer.pad_token_id or 0]))
        more = _told(found, ids.shape)
        inputs = {name: torch.from_numpy(array).to(device) for name, array in {"input_ids": ids, "attention_mask": mask, **more}.items()}
        logits = found.model(**inputs).logits
        best = (logits if found.written is None else logits[..., torch.from_numpy(found.written)]).argmax(-1).cpu().tolist()
        yield from ((number, row[first : len(framed[number])]) for number, row in zip(some, best, strict=True))


def _padded(rows: list[list[int]], pad: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, longest) ids and which of them are there."""
    lengths = np.array(list(map(len, rows)))
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, pad, dtype=np.int64)
    ids[mask] = np.concatenate(rows)
    return ids, mask.astype(np.int64)


def _told(found: Reading, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """The numbers of the input's language and of the output's, where the model has use for them."""
    config = found.model.config
    if not getattr(config, "lingraft_language_embeddings", False):
        return {}
    own = {"languages": np.full(shape, int(found.to_source))}
    return own | ({"target_language": np.full(shape, int(not found.to_source))} if getattr(config, "lingraft_trilayer", None) else {})


def tidied(ids: list[int], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What is left of a row of predictions: up to the first end token, repetitions once, specials left out (TreLM, appendix A.7)."""
    end, special = vocabulary.roles(tokenizer).get("end"), vocabulary.special_ids(tokenizer)
    with contextlib.suppress(ValueError):
        ids = ids[: ids.index(end)]  # type: ignore[arg-type]
    once = [token for place, token in enumerate(ids) if place == 0 or token != ids[place - 1]]
    return [token for token in once if token not in special]
