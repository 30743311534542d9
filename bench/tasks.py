"""What a fine-tuned encoder scores on every task and probe, with its baseline and the minutes: MiniLM, English."""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import Results, names, parser, working_folder

FINE = ("learning_rate=2e-4", "warmup=0.1")
QUESTIONS = ("learning_rate=2e-4", "warmup=0.1", "batch=16", "epochs=5", "length=256")
BIAFFINE = ("learning_rate=5e-4", "warmup=0.1", "epochs=5")


@dataclass(frozen=True, slots=True)
class Cell:
    """A task or a probe of lingraft, its files below the data folder ({} is train, dev, test), and what is set."""

    name: str
    files: tuple[str, str, str]
    changes: tuple[str, ...] = FINE
    probe: bool = False


def three(pattern: str) -> tuple[str, str, str]:
    """The files of the three splits."""
    train, dev, test = (pattern.format(split) for split in ("train", "dev", "test"))
    return train, dev, test


UD, SRL, NER = "eval/ud/en/{}.conllu.gz", "eval/srl/en/{}.conllu.gz", "eval/ner/uner/en/{}.tsv.gz"
NLI, WIC, XQUAD = "eval/nli/en.mnli.{}.tsv.gz", "eval/wic/{}.en-en.jsonl.gz", "eval/xquad/xquad.en.json.gz"
CELLS = {
    "part-of-speech tagging": Cell("pos", three(UD)),
    "parsing": Cell("parsing", three(UD), BIAFFINE),
    "semantic roles": Cell("srl", three(SRL), BIAFFINE),
    "named entities": Cell("ner", three(NER)),
    "natural language inference": Cell("classify", three(NLI)),
    "question answering": Cell("qa", (f"{XQUAD}#documents=0:34", f"{XQUAD}#documents=34:38", f"{XQUAD}#documents=38:48"), QUESTIONS),
    "structural probe": Cell("structural", three(UD), ("layers=[3, 4, 5, 6]",), probe=True),
    "word in context": Cell("wic", three(WIC), (), probe=True),
}


def measure(name: str, seeds: int, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Scores, baselines and minutes of one cell."""
    from lingraft.demo import source_model
    from lingraft.evaluation import evaluate

    cell, began, out = CELLS[name], time.monotonic(), folder / name.replace(" ", "-")
    train, dev, test = (str(given.data / file) for file in cell.files)
    if cell.probe:
        from lingraft.probing import probe

        files = {"train": train, "development": dev, "evaluation": test}
        found = probe(source_model(), probe=cell.name, **files, changes=[*cell.changes], seeds=seeds, out=out)
    else:
        found = evaluate(
            source_model(),
            task=cell.name,
            train=[train],
            development=[dev],
            evaluation=[f"en={test}"],
            changes=cell.changes,
            seeds=seeds,
            out=out,
        )
    scores = {
        f"{score} {kind}": value for score, told in found["scores"].items() for kind, value in (("mean", told["mean"]), ("sd", told["sd"]))
    }
    return {**scores, "baseline": found["baseline"], "minutes": round((time.monotonic() - began) / 60, 2)}


def main() -> None:
    """Measure every cell that is not measured yet."""
    options = parser(__doc__)
    options.add_argument("--data", type=Path, help="folder with eval/")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--cells", type=names(CELLS), default=",".join(CELLS), help="separated by commas")
    given = options.parse_args()
    results = Results("tasks", given.results)
    if not given.table:
        with working_folder(given.out) as folder:
            for name in given.cells:
                if not results.here(cell=name, seeds=given.seeds):
                    results.add({"cell": name, "seeds": given.seeds}, measure(name, given.seeds, folder, given))
    print(table(results))


def table(results: Results) -> str:
    """Markdown: a row for each score, in percent."""
    rows = ["| task | score | x 100 | baseline | seeds | minutes |", "|---|---|---|---|---|---|"]
    for line in results.lines():
        values, key = line["values"], line["key"]
        for score, reached in values["baseline"].items():
            deviation = "" if values[f"{score} sd"] is None else f" ± {100 * values[f'{score} sd']:.1f}"
            shown = f"{100 * values[f'{score} mean']:.1f}{deviation}"
            rows.append(f"| {key['cell']} | {score} | {shown} | {100 * reached:.1f} | {key['seeds']} | {values['minutes']} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
