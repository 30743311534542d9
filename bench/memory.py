"""Peak memory of the text stages (survey, then ids on disk) for texts of growing size."""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from common import Results, in_subprocess, parser, working_folder, write_text


def peak_megabytes() -> float:
    """The most memory that this process has held at once (resident, 10**6 bytes)."""
    import resource
    import sys

    status = Path("/proc/self/status")
    if status.exists():  # getrusage's figure also counts what the parent held when it started this process
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def work(task: dict[str, Any]) -> dict[str, Any]:
    """Survey and encode a text, and tell the peaks after each."""
    from lingraft.text.corpus import TextSettings, resolve
    from lingraft.text.shards import encode_to_shards
    from lingraft.tokenizer.train import read
    from lingraft.tokenizer.vocabulary import roles

    tokenizer, corpus = read(task["tokenizer"]), resolve([task["text"]], "de", settings=TextSettings())
    tokenizer("Alles ist geladen.")
    size, before, began = Path(task["text"]).stat().st_size / 1e6, peak_megabytes(), time.perf_counter()
    _ = corpus.survey
    after_survey, surveyed = peak_megabytes(), time.perf_counter()
    with tempfile.TemporaryDirectory(dir=task["folder"]) as folder:
        info = encode_to_shards(corpus.documents(), tokenizer, Path(folder) / "tokens", end_id=roles(tokenizer).get("end"))
        encoded = time.perf_counter()
    return {
        "peak_mb_before": before,
        "peak_mb_survey": after_survey,
        "peak_mb_tokens": peak_megabytes(),
        "survey_mb_per_s": size / (surveyed - began),
        "tokens_mb_per_s": size / (encoded - surveyed),
        "tokens": info.num_tokens,
    }


def main() -> None:
    """Measure every size that is not measured yet."""
    options = parser(__doc__)
    options.add_argument("--sizes", type=lambda text: [float(size) for size in text.split(",")], default="10,100,1000", help="MB")
    options.add_argument("--tokenizer", help="folder or hub id; by default MiniLM's")
    options.add_argument("--worker", type=json.loads, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.worker:
        print(json.dumps(work(given.worker)))
        return
    results = Results("memory", given.results)
    if not given.table:
        with working_folder(given.out) as folder:
            measure_all(results, given, folder)
    print(results.table())


def measure_all(results: Results, given: argparse.Namespace, folder: Path) -> None:
    """Write each text, read it in a process of its own, remove it."""
    for size in given.sizes:
        key = {"text_mb": size, "tokenizer": Path(given.tokenizer).name if given.tokenizer else "MiniLM"}
        if results.here(**key):
            continue
        text = folder / f"text-{size:g}.txt"
        write_text(text, size)
        results.add(
            key, in_subprocess(__file__, {"text": str(text), "tokenizer": given.tokenizer or _source(), "folder": str(folder)}) or {}
        )
        text.unlink()


def _source() -> str:
    from lingraft.demo import source_model

    return source_model()


if __name__ == "__main__":
    main()
