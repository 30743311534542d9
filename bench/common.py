"""What the benchmarks share (no benchmark itself): the machine, the results file, the table, text of any size."""

import argparse
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lingraft.errors import Interrupted, LingraftError

RESULTS = Path(__file__).parent / "results"
Cell = Mapping[str, Any]


@cache
def machine() -> dict[str, Any]:
    """What the numbers were measured on; two equal descriptions are the same machine."""
    import torch

    found = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = re.search(r"model name\s*: (.*)", found)
    return {
        "cpu": name[1].strip() if name else platform.processor() or platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability() + (" bf16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else ""),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "torch": torch.__version__,
        "transformers": version("transformers"),
    }


class Results:
    """A file of JSON lines, one for each measured cell: {"key": …, "machine": …, "values": …}."""

    def __init__(self, name: str, folder: Path = RESULTS) -> None:
        self.path = folder / f"{name}.jsonl"

    def lines(self) -> list[dict[str, Any]]:
        """All cells. A last line that was cut off is left out."""
        found = []
        for line in self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def here(self, **key: Any) -> list[dict[str, Any]]:
        """Values of the cells of this machine whose key has these fields, in the order they were measured."""
        mine = [line for line in self.lines() if line["machine"] == machine()]
        return [line["values"] for line in mine if key.items() <= line["key"].items()]

    def add(self, key: Cell, values: Cell) -> None:
        """Append a cell, and print it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        torn = self.path.exists() and self.path.read_bytes()[-1:] not in (b"", b"\n")
        line = json.dumps({"key": key, "machine": machine(), "values": values}, ensure_ascii=False)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(("\n" if torn else "") + line + "\n")
        print(json.dumps({**key, **values}, ensure_ascii=False), flush=True)

    def table(self, over: str = "", deviation: bool = False) -> str:
        """Markdown, one table for each machine. Cells that differ only in the field `over` are one row: median (least–most), or with
        `deviation` mean ± sample standard deviation (number of cells)."""
        groups: dict[str, list[dict[str, Any]]] = {}
        for line in self.lines():
            groups.setdefault(json.dumps([line["machine"], [k for k in line["key"] if k != over]]), []).append(line)
        return (
            "\n\n".join(_table(lines, over, _deviation if deviation else _range) for lines in groups.values())
            or f"No results in {self.path} yet."
        )


def _table(lines: Sequence[dict[str, Any]], over: str, spread: Callable[[Sequence[Any]], str]) -> str:
    rows: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for line in lines:
        rows.setdefault(tuple(value for name, value in line["key"].items() if name != over), []).append(line["values"])
    names = [name for name in lines[0]["key"] if name != over]
    columns = list(dict.fromkeys(name for line in lines for name, value in line["values"].items() if not isinstance(value, dict | list)))
    head = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in lines[0]["machine"].items())
    body = [[*map(str, row), *(_cell([v[name] for v in values if name in v], spread) for name in columns)] for row, values in rows.items()]
    titles = [name.replace("_", " ") for name in [*names, *columns]]
    return "\n".join([f"{head}:", "", *(f"| {' | '.join(row)} |" for row in [titles, ["---"] * len(titles), *body])])


def _cell(values: Sequence[Any], spread: Callable[[Sequence[Any]], str]) -> str:
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return ", ".join(dict.fromkeys(map(str, values)))
    return _number(values[0]) if len(values) == 1 or (values and min(values) == max(values)) else spread(values) if values else ""


def _range(values: Sequence[Any]) -> str:
    return f"{_number(statistics.median(values))} ({_number(min(values))}–{_number(max(values))})"


def _deviation(values: Sequence[Any]) -> str:
    return f"{_number(statistics.mean(values))} ± {_number(statistics.stdev(values))} ({len(values)})"


def _number(value: float) -> str:
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 100 else f"{value:.3f}"


def parser(about: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--table", action="store_true", help="print the results so far as a table and stop")
    made.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where the results lie")
    made.add_argument("--out", type=Path, metavar="DIR", help="working folder, kept; by default a temporary one")
    return made


def study(
    about: str | None,
    folder: Path,
    keys: Iterable[dict[str, str]],
    measure: Callable[[dict[str, str], argparse.Namespace], dict[str, Any]],
    show: Callable[[list[dict[str, Any]]], None],
) -> None:
    """The command of a study in repro/: measure every cell that FOLDER/results.jsonl does not have yet, on any machine, then show all.

    keys: of the cells, in their order. measure(key, options) -> values. A cell that fails is named, and the others are measured.
    """
    options = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, help="folder with text/, parallel/ and eval/")
    options.add_argument("--out", type=Path, default=Path("build") / folder.name, help="working folder: models, kept")
    options.add_argument("--table", action="store_true", help="print the tables and stop")
    options.add_argument("--minutes", type=float, default=1e9, help="start no new cell after so long")
    options.add_argument("--only", default="", metavar="PATTERN", help="only cells with a value that this regular expression matches")
    given, results, began = options.parse_args(), Results("results", folder), time.monotonic()
    done, failed = {json.dumps(line["key"]) for line in results.lines()}, False
    for key in () if given.table else keys:
        wanted = any(re.search(given.only, value) for value in key.values())
        if wanted and json.dumps(key) not in done and time.monotonic() - began < 60 * given.minutes:
            try:
                results.add(key, measure(key, given))
            except LingraftError as error:
                if isinstance(error, Interrupted):
                    raise
                failed = True
                print(f"Not measured: {', '.join(key.values())}: {error}", file=sys.stderr)
    show(results.lines())
    if failed:
        sys.exit(1)


def names(known: Collection[str]) -> Any:
    """An argparse type: names separated by commas, each of which must be known."""

    def read(text: str) -> list[str]:
        if unknown := set(text.split(",")) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: choose from {', '.join(known)}")
        return text.split(",")

    return read


@contextmanager
def working_folder(out: Path | None) -> Iterator[Path]:
    """The folder the user named, or a temporary one."""
    if out:
        out.mkdir(parents=True, exist_ok=True)
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="lingraft-bench-") as folder:
        yield Path(folder)


def in_subprocess(
    script: str, task: Mapping[str, Any], timeout: float | None = None, python: str = sys.executable
) -> dict[str, Any] | None:
    """Run `script` again in a process of its own with `--worker TASK`; the JSON object on its last line, None where it ran too long.

    So no measurement lives with what another one set: allocator, caches, peak memory. Raises RuntimeError where the process fails.
    """
    command = [python, script, "--worker", json.dumps(task)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        raise RuntimeError(f"{script} failed at {task}:\n{done.stderr[-4000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def make_bert(folder: Path, layers: int, width: int) -> Path:
    """A BERT with random weights and MiniLM's tokenizer, as a source to transfer from; made once."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    from lingraft.demo import source_model
    from lingraft.files import atomic_folder
    from lingraft.model.load import load_tokenizer

    if not folder.exists():
        torch.manual_seed(0)
        tokenizer = load_tokenizer(source_model())
        shape = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": width // 64, "intermediate_size": 4 * width}
        with atomic_folder(folder) as temporary:
            BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)
    return folder


def write_text(path: Path, megabytes: float, codes: Sequence[str] = ("de",), changed: float = 0.03, seed: int = 0) -> None:
    """Write bundled text in `codes` to `path`, over and over until it is so long (10**6 bytes).

    From the second time on, digits are permuted and a share `changed` of the words have two letters swapped, so that it goes on bringing
    words not seen before, as text does, while the vocabulary stays bounded.
    """
    from lingraft.text import bundled

    pages = ["\n".join(page.lines) for code in codes for page in bundled.documents(code)]
    generator, left, turn = random.Random(seed), int(megabytes * 1e6), 0
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        while left > 0:
            for page in pages:
                data = (page if turn == 0 else _varied(page, changed, generator)).encode()[:left] + b"\n\n"
                left -= file.write(data.decode(errors="ignore").encode())
                if left <= 0:
                    break
            turn += 1
    partial.replace(path)


def _varied(page: str, changed: float, generator: random.Random) -> str:
    digits = "".join(generator.sample("0123456789", 10))
    words = page.translate(str.maketrans("0123456789", digits)).split(" ")
    for _ in range(round(changed * len(words))):
        place = generator.randrange(len(words))
        word = words[place]
        if len(word) > 2 and word.isalpha():
            at = generator.randrange(len(word) - 1)
            words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)
