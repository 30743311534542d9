"""Malkin et al. 2022 at small scale: the donor map of ten languages, the same help pages in all, zero-shot POS and NER, the explorer.

python repro/malkin/run.py --data DATA --out WORK     trains the cells that WORK/map lacks (--shard 1/2 and 2/2 side by side), then the rest
python repro/malkin/run.py --table                    what the map says beside what the paper says
"""

import argparse
import gzip
import json
import shutil
import sys
from pathlib import Path
from typing import Any

LANGUAGES = ("de", "en", "es", "fr", "hu", "id", "ja", "ru", "sv", "zh")
SEGMENTS, VOCABULARY = 7_500, 16_000
SHAPE = ("layers=2", "width=128", "batch=32", "length=64", "learning_rate=1e-3", "warmup=0.06")
SETTINGS = (*SHAPE, "epochs=3")
SIZE, RECIPIENTS = 2, 2
FINE_TUNING = ("learning_rate=5e-4", "epochs=4")
NER = {**dict.fromkeys(("de", "en", "es", "fr", "ru"), "wikineural"), **dict.fromkeys(("sv", "zh"), "uner"), "hu": "other", "ja": "other"}
KINDS = {"人名": "PER", "地名": "LOC", "法人名": "ORG", "政治的組織名": "ORG", "その他の組織名": "ORG"}
KEPT = Path(__file__).parent / "map"
SKIPPED = shutil.ignore_patterns("model", "work", "tokens", "runs", "train", "*.png", "*.svg", ".*")
PAPER = {
    "asymmetry_pearson": "moderately negative",
    "detrimental_pairs": "there are some",
    "donation_monolingual": "the better a language's own model, the more it donates, to a lesser extent",
    "recipience_monolingual": "the worse a language's own model, the more it receives",
    "script_mean": "the highest gains are across scripts",
    "script_variance": "larger across scripts",
    "family_mean": "no effect of family",
    "family_variance": "no effect of family",
    "english_donor_rank": "low",
    "pos_recipients": "+2.7 points",
    "ner_recipients": "+5.5 points",
    "pos_in_language": "most above control, least below all (both tasks)",
}


def build(given: argparse.Namespace) -> Path:
    """The balanced corpus: as many parallel segments of every language."""
    from lingraft.donors import corpus

    folder = given.out / "corpus"
    if not folder.exists():
        corpus.build(LANGUAGES, str(given.data / "parallel/lohelp"), out=folder, segments=SEGMENTS, vocabulary=VOCABULARY, tell=told)
    return Path(folder)


def train(given: argparse.Namespace, sets: tuple[str, ...] = ()) -> bool:
    """Run this shard's cells. Whether all cells of the grid are there."""
    from lingraft.donors import grid

    numbers = tuple(map(int, given.shard.split("/")))
    shared = {"sets": sets, "changes": SETTINGS, "seeds": given.seeds}
    grid.run(build(given), out=given.out / "map", shard=(numbers[0], numbers[1]), told=told, **shared)
    wanted = grid.selected(grid.read(build(given)), sets=sets, seeds=given.seeds)
    return all((given.out / "map" / "cells" / one.name / "record.json").exists() for one in wanted)


def longer(given: argparse.Namespace) -> None:
    """A control that the paper lacks: every language alone, for as many steps as a pair has."""
    from lingraft.donors import grid

    steps = max(json.loads(path.read_text(encoding="utf-8"))["steps"] for path in (given.out / "map" / "cells").glob("*+*/record.json"))
    alone = [f"{code}.0" for code in LANGUAGES]
    grid.run(build(given), out=given.out / "longer", changes=(*SHAPE, f"steps={steps}"), only=alone, told=told)


def test(given: argparse.Namespace) -> None:
    """Zero-shot POS and NER: the models of the sets that the map itself names, fine-tuned in each recipient and tested in all."""
    from lingraft.donors.scores import read_scores
    from lingraft.donors.zero_shot import pretraining, sets, zero_shot

    chosen = sets(read_scores(given.out / "map"), SIZE, RECIPIENTS)
    if not train(given, tuple("+".join(languages) for languages in pretraining(chosen).values())):
        return
    options: dict[str, Any] = {"size": SIZE, "recipients": RECIPIENTS, "changes": FINE_TUNING, "told": told}
    train_on, score_on = (str(given.data / "eval/ud/{}" / f"{split}.conllu.gz") for split in ("train", "test"))
    zero_shot(given.out / "map", task="pos", train=train_on, evaluation=score_on, **options)
    codes = {*chosen["recipient"], *chosen["least recipient"]}
    if codes <= NER.keys():
        for code in codes:
            entities(code, given)
        files = {name: str(given.out / "ner" / "{}" / f"{split}.tsv") for name, split in (("train", "train"), ("evaluation", "test"))}
        zero_shot(given.out / "map", task="ner", sentences=2_000, **files, **options)
    else:
        told(f"NER is left out: there is no text for {', '.join(sorted(codes - NER.keys()))}.")


def entities(code: str, given: argparse.Namespace) -> None:
    """A language's named entities, persons, places and organisations only, since the sources differ in the others."""
    from lingraft.files import write_text

    for split in ("train", "test"):
        if code == "ja":
            kept = japanese(split, given)
        else:
            lines = gzip.decompress((given.data / "eval/ner" / NER[code] / code / f"{split}.tsv.gz").read_bytes()).decode().splitlines()
            words = (line.rpartition("\t") for line in lines)
            kept = [f"{word}\t{tag if tag[2:] in ('PER', 'LOC', 'ORG') else 'O'}" if word else "" for word, _, tag in words]
        write_text(given.out / "ner" / code / f"{split}.tsv", "\n".join(kept) + "\n")


def japanese(split: str, given: argparse.Namespace) -> list[str]:
    """Its texts with marked characters, each character a word; every tenth is for testing."""
    found = []
    for number, line in enumerate(gzip.decompress((given.data / "eval/ner/other/ja/all.jsonl.gz").read_bytes()).decode().splitlines()):
        if (number % 10 == 0) == (split == "test"):
            record = json.loads(line)
            tags = ["O"] * len(record["text"])
            for entity in record["entities"]:
                if kind := KINDS.get(entity["type"]):
                    start, end = entity["span"]
                    tags[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
            found += [f"{character}\t{tag}" for character, tag in zip(record["text"], tags, strict=True) if not character.isspace()] + [""]
    return found


def equal(given: argparse.Namespace) -> Path:
    """The scores of the map in which every language alone has as many steps as a pair: its cells in the place of the map's."""
    from lingraft.donors.scores import scores
    from lingraft.files import read_json, write_json

    folder = given.out / "equal"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(given.out / "map", folder, ignore=SKIPPED)
    for code in LANGUAGES:
        cell = folder / "cells" / f"{code}.0"
        recipe = read_json(cell / "record.json")["recipe"]  # other steps are other settings, which a map refuses: here they are meant
        shutil.copytree(given.out / "longer" / "cells" / cell.name, cell, dirs_exist_ok=True, ignore=SKIPPED)
        write_json(cell / "record.json", {**read_json(cell / "record.json"), "recipe": recipe})
    scores(folder)
    return Path(folder) / "scores" / "scores.json"


def keep(given: argparse.Namespace) -> None:
    """Copy what was measured, without models and checkpoints, to where it is committed."""
    from lingraft.donors.scores import scores
    from lingraft.explorer.build import explore

    scores(given.out / "map")
    explore(given.out / "map", given.out / "site")
    shutil.rmtree(KEPT, ignore_errors=True)
    shutil.copytree(given.out / "map", KEPT, ignore=SKIPPED)
    shutil.copytree(given.out / "longer" / "cells", KEPT / "longer", ignore=SKIPPED)
    shutil.copy2(equal(given), KEPT / "longer" / "scores.json")


def told(line: str) -> None:
    """Progress on stderr."""
    print(line, file=sys.stderr, flush=True)


def show() -> None:
    """Findings of the map beside the paper's, and each language's D, R and type."""
    found = json.loads((KEPT / "scores" / "scores.json").read_text(encoding="utf-8"))
    print("| language | D | R | type |\n|---|---|---|---|")
    for code in sorted(found["D"], key=lambda code: -found["D"][code]["mean"]):
        print(f"| {code} | {_number(found['D'][code])} | {_number(found['R'][code])} | {found['types'][code]} |")
    print("\n| language | alone (MRR) | alone, as many steps as a pair | F, mean | beside the longer training |\n|---|---|---|---|---|")
    for code in found["D"]:
        alone, long = (_score(KEPT / folder / f"{code}.0", code) for folder in ("cells", "longer"))
        pairs = [_score(path, code) for path in (KEPT / "cells").glob("??+??.0") if code in path.stem.split("+")]
        gains = [f"{100 * (sum(pairs) / len(pairs) / one - 1):+.1f} %" for one in (alone, long)]
        print(f"| {code} | {alone:.3f} | {long:.3f} | {gains[0]} | {gains[1]} |")
    beside = json.loads((KEPT / "longer" / "scores.json").read_text(encoding="utf-8"))["findings"]
    print("\n| finding | here | beside the longer training | in the paper |\n|---|---|---|---|")
    for name, finding in found["findings"].items():
        print(f"| {name} | {finding['says']} | {beside[name]['says']} | {PAPER.get(name, '')} |")
    for note in found.get("notes", []):
        print(f"\n{note}")


def _score(cell: Path, code: str) -> float:
    return float(json.loads((cell / "record.json").read_text(encoding="utf-8"))["scores"][code]["mrr"])


def _number(told: dict[str, Any]) -> str:
    return f"{told['mean']:+.2f} ({told['low']:+.2f} to {told['high']:+.2f})"


def main() -> None:
    """Everything, from where it was stopped."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, help="folder with parallel/ and eval/")
    options.add_argument("--out", type=Path, default=Path("build/malkin"), help="working folder: models, kept")
    options.add_argument("--shard", default="1/1", metavar="i/n", help="only every n-th cell, from the i-th on")
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument("--table", action="store_true", help="print the findings and stop")
    given = options.parse_args()
    if not given.table:
        if not train(given):
            return
        longer(given)
        test(given)
        keep(given)
    show()


if __name__ == "__main__":
    main()
