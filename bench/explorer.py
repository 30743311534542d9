"""How long does the explorer's page take to load, and to draw a frame, with 22 and 100 languages?"""

import argparse
import json
import os
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from common import Results, in_subprocess, parser, working_folder

from lingraft.donors import typology
from lingraft.explorer.build import explore
from lingraft.files import write_json

CHROMIUM = "/usr/bin/chromium"
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

FRAMES = """([stir, count]) => new Promise((done) => {
  const act = new Function("turn", stir), times = [];
  let turn = 0, last = performance.now();
  const step = () => {
    const now = performance.now();
    if (turn) times.push(now - last);
    last = now;
    if (turn >= count) { done(times); return; }
    act(turn);
    turn += 1;
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""
"""Act once a frame, so many times; milliseconds from frame to frame."""

ACTIONS = {
    "drag, usual threshold": ("view=graph", "Graph.move(LANGUAGES[turn % 7], turn % 2 ? 9 : -9, 5 - turn % 11)"),
    "drag, every arrow": ("view=graph&min=0", "Graph.move(LANGUAGES[turn % 7], turn % 2 ? 9 : -9, 5 - turn % 11)"),
    "threshold": ("view=graph", "State.set({min: (turn % 40) / 2})"),
    "heat map, cursor": ("view=heatmap", "Heatmap.at(turn % COUNT, (3 * turn) % COUNT)"),
    "heat map, order": ("view=heatmap", "State.set({order: ['D', 'R', 'name'][turn % 3]})"),
    "scatter, focus": ("view=scatter", "State.set({focus: LANGUAGES[turn % COUNT].code})"),
    "table of pairs, sort": ("view=table&rows=pairs", "State.set({sort: ['F', '-F', 'source'][turn % 3]})"),
}
"""What is timed: the address it begins at, and what happens in each frame."""


def made(num: int, seed: int = 0) -> dict[str, Any]:
    """Scores of a map of `num` languages with no meaning: those that WALS knows come first, the rest have names of their own."""
    generator, known = np.random.default_rng(seed), list(typology.known().values())
    scripts = ["Latn", "Cyrl", "Arab", "Deva", "Hani"]
    languages = {
        (known[i].code if i < len(known) else f"x{i}"): {
            "name": known[i].name if i < len(known) else f"Language {i}",
            "script": scripts[int(generator.integers(5))],
            "family": known[i].family or "Isolate" if i < len(known) else f"Family {i % 9}",
            "genus": known[i].genus if i < len(known) else "",
            "monolingual": estimate(generator.uniform(0.2, 0.4), 0.01),
        }
        for i in range(num)
    }
    place = generator.normal(size=(num, 3))
    near = np.exp(-((place[:, None] - place[None]) ** 2).sum(-1) / 3)
    F = (
        0.35 * near
        + generator.normal(0, 0.12, num)[:, None]
        + generator.normal(0, 0.1, num)[None]
        + generator.normal(0, 0.05, (num, num))
        - 0.05
    )
    np.fill_diagonal(F, 0)
    codes, D, R = list(languages), F.sum(1), F.sum(0)
    return {
        "mode": "joint",
        "seeds": 2,
        "languages": languages,
        "F": {
            s: {t: {**estimate(F[i, j], generator.uniform(0.02, 0.08)), "n": 2} for j, t in enumerate(codes) if i != j}
            for i, s in enumerate(codes)
        },
        "D": {code: estimate(D[i], 0.03 * num) for i, code in enumerate(codes)},
        "R": {code: estimate(R[i], 0.03 * num) for i, code in enumerate(codes)},
        "types": {code: "O" if D[i] > 0 > R[i] else "AB+" if R[i] > 0 > D[i] else "A" if D[i] > 0 else "B" for i, code in enumerate(codes)},
        "findings": {"made": {"value": 0, "says": "These numbers are made up: they show how the page behaves, and mean nothing."}},
    }


def estimate(mean: float, half: float) -> dict[str, float]:
    """A mean with an interval of so much on either side."""
    return {"mean": float(mean), "low": float(mean - half), "high": float(mean + half)}


def site(num: int, folder: Path) -> Path:
    """The explorer of a made map."""
    write_json(folder / "scores" / "scores.json", made(num))
    return explore(folder, folder / "site")


def work(task: dict[str, Any]) -> dict[str, Any]:
    """Open a page and time it: from the start of navigation to the first drawing, or per frame: from one to the next, and of processor."""
    from playwright.sync_api import sync_playwright

    page, (start, stir) = Path(task["page"]), ACTIONS.get(task["action"], ("", ""))
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        tab = browser.new_context(viewport={"width": task["width"], "height": 900}, bypass_csp=True).new_page()
        tab.goto(f"{page.as_uri()}#{start}")
        tab.wait_for_function("document.querySelector('#stage').children.length > 0")
        loaded = tab.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        before = processor_seconds()
        times = tab.evaluate(FRAMES, [stir, task["frames"]]) if stir else []
        used = processor_seconds() - before
        browser.close()
    if not stir:
        return {"load_ms": loaded, "page_kb": page.stat().st_size / 1000}
    ordered = sorted(times)
    return {"frame_ms": statistics.median(times), "frame_95_ms": ordered[int(0.95 * len(times))], "processor_ms": 1000 * used / len(times)}


def processor_seconds() -> float:
    """What the browser's processes have computed so far, all cores; unlike the time between frames it does not depend on what else runs."""
    import psutil

    return sum(sum(process.cpu_times()[:2]) for process in psutil.Process().children(recursive=True))


def main() -> None:
    """Measure every cell that is not measured yet."""
    options = parser(__doc__)
    options.add_argument("--languages", type=lambda text: [int(num) for num in text.split(",")], default="22,100")
    options.add_argument(
        "--widths", type=lambda text: [int(num) for num in text.split(",")], default="1280,390", help="of the window, pixels"
    )
    options.add_argument("--frames", type=int, default=60)
    options.add_argument("--worker", type=json.loads, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.worker:
        print(json.dumps(work(given.worker)))
        return
    results = Results("explorer", given.results)
    with working_folder(given.out) as folder:
        for num in () if given.table else given.languages:
            measure(results, site(num, folder / str(num)), num, given)
    print(results.table())


def measure(results: Results, page: Path, num: int, given: argparse.Namespace) -> None:
    """Load time and every action of one map, each in a browser of its own; the machine's load (processes that want a core) beside it."""
    for width in given.widths:
        for action in ("load", *ACTIONS):
            key = {"languages": num, "width": width, "action": action}
            if not results.here(**key):
                task = {"page": str(page), "width": width, "action": action, "frames": given.frames}
                values = in_subprocess(__file__, task, timeout=300) or {}
                results.add(key, {**values, "load_average": round(os.getloadavg()[0], 1)})


if __name__ == "__main__":
    main()
