"""Held-out loss of each row method after equal training: bundled text, MiniLM, a cased WordPiece of 8,000."""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from common import Results, names, parser, working_folder

from lingraft.embeddings import ROWS, NewRows, Vocabularies
from lingraft.embeddings.statistics import random

SIZE = 8_000
SAME = [
    "text.normalisation=NFC",
    "batch=16",
    "length=128",
    "phases.train.betas=[0.9, 0.98]",
    "phases.train.weight_decay=0.01",
    "phases.train.warmup=0.06",
    "evaluation.max_characters=100_000",
]


WIKTIONARY = "lexicons/wiktionary/en-{to}.tsv.gz"


@dataclass(frozen=True, slots=True)
class Cell:
    """A recipe, what is changed in it beside what is the same for all, and the aids it gets ({to} is the language).

    peer: the published package whose matrix (PEERS/NAME.npy, made by peers.py) replaces the recipe's rows.
    """

    recipe: str
    learning_rate: str = "3e-4"
    changes: tuple[str, ...] = ()
    source_text: str = ""
    parallel: str = ""
    lexicon: str = ""
    peer: str = ""


ENGLISH, PARALLEL = "bundled:en", "bundled:en-{to}"
CELLS = {
    "scratch": Cell("scratch", "5e-4"),
    "random": Cell("random"),
    "copy": Cell("copy"),
    "focus": Cell("focus"),
    "wechsel": Cell("wechsel", source_text=ENGLISH, lexicon=WIKTIONARY),
    "ramen": Cell("ramen", parallel=PARALLEL),
    "trans-tokenizer": Cell("trans-tokenizer", parallel=PARALLEL),
    "auto": Cell("auto"),
    "auto with parallel text": Cell("auto", parallel=PARALLEL),
    "frozen": Cell("frozen", "3e-3"),
    "rank by frequency": Cell("rank", changes=("rows.order=frequency",), source_text=ENGLISH),
    "rank by id": Cell("rank", changes=("rows.order=id",), source_text=ENGLISH),
    "rank without source text": Cell("rank", changes=("rows.order=frequency",)),
    "pieces": Cell("pieces"),
    "distilled": Cell("distilled"),
    "heuristic": Cell("heuristic"),
    "lexicon": Cell("lexicon", lexicon=WIKTIONARY),
    "ofa": Cell("ofa", source_text=ENGLISH, lexicon=WIKTIONARY),
    "ofa rank 200": Cell("ofa", changes=("rows.rank=200",), source_text=ENGLISH, lexicon=WIKTIONARY),
    "ramen-mono": Cell("ramen-mono", source_text=ENGLISH, lexicon=WIKTIONARY),
    "clp": Cell("clp"),
    "clp-plus": Cell("clp-plus"),
    "omp": Cell("omp"),
    "peer deepfocus": Cell("random", peer="deepfocus"),
    "peer wechsel": Cell("random", peer="wechsel"),
    "ramen+copy": Cell("ramen", changes=("rows.method=ramen+copy",), parallel=PARALLEL),
}


def aids(cell: Cell, to: str, data: Path | None) -> dict[str, str]:
    """What a cell is given beside the text. A lexicon that is not there is left out (vectors are then mapped by identical strings)."""
    found = {"source_text": cell.source_text, "parallel": cell.parallel.format(to=to)}
    lexicon = None if data is None or not cell.lexicon else data / cell.lexicon.format(to=to)
    return found | {"lexicon": str(lexicon) if lexicon is not None and lexicon.exists() else ""}


def changes(cell: Cell, steps: int, tokenizer: Path) -> list[str]:
    """The --set changes of a cell: of the recipe only its rows, its parts that train and its learning rate remain."""
    read = [f"tokenizer.read={str(tokenizer)!r}", "tokenizer.algorithm=same", f"tokenizer.size={SIZE}"]
    return [*SAME, *read, f"steps={steps}", f"learning_rate={cell.learning_rate}", *cell.changes]


def train_tokenizer(folder: Path, to: str) -> Path:
    """The tokenizer that all cells of a language share, trained on the training pages; made once."""
    from lingraft.demo import source_model
    from lingraft.files import atomic_folder
    from lingraft.model.load import load_tokenizer
    from lingraft.text.corpus import TextSettings, resolve
    from lingraft.tokenizer.settings import TokenizerSettings
    from lingraft.tokenizer.train import train

    if not folder.exists():
        corpus = resolve([f"bundled:{to}"], to, settings=TextSettings())
        lines = (line for page in corpus.split("train") for line in page.lines)
        with atomic_folder(folder) as temporary:
            train(lines, TokenizerSettings(algorithm="wordpiece", size=SIZE), load_tokenizer(source_model())).save_pretrained(temporary)
    return folder


def given_rows(matrix: Path) -> Callable[[Vocabularies], NewRows]:
    """A row method that answers with the rows of a file, (num_new, dim), specials included; an added output bias starts as zeros anyway."""

    def direct(vocabularies: Vocabularies) -> NewRows:
        rows = random(vocabularies)
        ids = np.arange(vocabularies.num_new)
        return NewRows(rows.mix, rows.group, rows.groups, ids, np.load(matrix).astype(np.float32))

    return direct


def measure(name: str, to: str, seed: int, steps: int, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Run one cell (or go on with it) and return its scores."""
    from lingraft.demo import source_model
    from lingraft.run import SCORES
    from lingraft.train.loop import Options
    from lingraft.transfer import transfer

    def progress(phase: str, step: int, total: int, loss: float) -> None:
        print(f"  {to}, {name}, seed {seed}: step {step} of {total}, loss {loss:.3f}, {time.monotonic() - began:.0f} s", flush=True)

    cell, began = CELLS[name], time.monotonic()
    with patch.dict(ROWS, {cell.recipe: given_rows(given.peers / f"{cell.peer}.npy")} if cell.peer else {}):
        run = transfer(
            source_model(),
            to=to,
            text=f"bundled:{to}",
            **{aid: [place] if place else [] for aid, place in aids(cell, to, given.data).items()},
            recipe=cell.recipe,
            changes=changes(cell, steps, train_tokenizer(folder / f"tokenizer-{to}", to)),
            out=folder / f"{to}-{name.replace(' ', '-')}-{steps}-{seed}",
            seed=seed,
            options=Options(progress=progress, log_steps=50),
        )
    initial = next(line["value"] for line in run.lines(SCORES) if line["model"] == "initial" and line["name"] == "loss")
    facts = {"seconds": run.facts.get("seconds", 0.0), "tokens_per_second": run.facts.get("tokens_per_second", 0.0), "rows": run.origin}
    if race := run.facts.get("race"):
        facts["chosen"] = race[0]["method"]
    scores = run.scores
    return {"loss": scores["loss"], "initial_loss": initial, **{n: scores[n] for n in ("mrr", "bits_per_byte", "bits_per_word")}, **facts}


def measured(*cell: Any) -> dict[str, Any]:
    """Scores of a cell, or why the method refused."""
    from lingraft.errors import Interrupted, LingraftError

    try:
        return measure(*cell)
    except Interrupted:
        raise
    except LingraftError as error:
        return {"refused": str(error)}


def main() -> None:
    """Measure every cell that is not measured yet."""
    options = parser(__doc__)
    options.add_argument("--steps", type=int, default=350, help="optimiser steps of each cell")
    options.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default="0", help="separated by commas")
    options.add_argument("--cells", type=names(CELLS), default=",".join(CELLS), help="separated by commas")
    options.add_argument("--to", default="de", help="language: de, eu, ja, ru, …")
    options.add_argument("--data", type=Path, help="folder with lexicons/wiktionary/en-CODE.tsv.gz, for the cells that use a lexicon")
    options.add_argument("--peers", type=Path, help="folder with deepfocus.npy and wechsel.npy (peers.py --matrices), for their cells")
    given = options.parse_args()
    results = Results("quality", given.results)
    if not given.table:
        with working_folder(given.out) as folder:
            for seed in given.seeds:
                for name in (cell for cell in given.cells if given.peers or not CELLS[cell].peer):
                    key = {"language": given.to, "cell": name, "steps": given.steps, "seed": seed}
                    if not results.here(**key):
                        results.add(key, measured(name, given.to, seed, given.steps, folder, given))
    print(results.table(over="seed", deviation=True))


if __name__ == "__main__":
    main()
