"""Plots as inline SVG that takes its colours and fonts from the page: it follows light and dark, and carries no text of the user's, but for
the words whose neighbours are drawn."""

import io
import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

NUM_COLOURS = 6
POINTS = 400
"""What a curve is thinned to: more cannot be seen, and would make the page heavy."""

LABELS = 9
"""Words with their names on each side of a plane: the nearest ones."""

NATS = "nats per predicted token"
INK, RULE = "#0a0a01", "#0a0a02"
SERIES = [f"#0a0b0{i}" for i in range(1, NUM_COLOURS + 1)]
"""Stand-ins, replaced in the finished SVG by the page's own colours `--ink`, `--rule`, `--series-1`…"""

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lingraft",
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": RULE,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def race_plot(entries: Sequence[dict[str, Any]]) -> str:
    """Loss (nats per predicted token) of each candidate before training and after each lap; nothing where no race was run."""
    raced = [entry for entry in entries if entry["losses"]]
    if not raced:
        return ""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 3), layout="constrained")
        axes = figure.add_subplot(xlabel="lap (0: before any training)", ylabel=NATS)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for i, entry in enumerate(raced):
            dashes = "-" if i < NUM_COLOURS else ":"
            axes.plot(entry["losses"], color=SERIES[i % NUM_COLOURS], linestyle=dashes, linewidth=1.6, marker="o", markersize=5)
        return _inline(figure)


def loss_plot(runs: Sequence[list[dict[str, Any]]], unit: str = NATS) -> str:
    """Loss, in `unit`, against tokens, one colour a run; nothing where no run has trained yet.

    `runs` are the records of metrics.jsonl in order, `tokens` counted from each run's start. Training is drawn raw (pale) and
    smoothed, held-out loss as dots.
    """
    training = [_points(records, "loss") for records in runs]
    held_out = [_points(records, "held_out_loss") for records in runs]
    if not any(len(points) for points in (*training, *held_out)):
        return ""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 4), layout="constrained")
        axes = figure.add_subplot(xlabel="tokens of training text", ylabel=unit)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        for i, (steps, points) in enumerate(zip(training, held_out, strict=True)):
            colour, dashes = SERIES[i % NUM_COLOURS], "-" if i < NUM_COLOURS else ":"
            axes.plot(*_thinned(steps).T, color=colour, alpha=0.25, linewidth=0.8)
            axes.plot(*_thinned(_smoothed(steps)).T, color=colour, linewidth=1.6, linestyle=dashes)
            axes.plot(*points.T, color=colour, linestyle="none", marker="o", markersize=6)
        return _inline(figure)


def cosine_plot(spaces: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """Histograms of cosines, one beside the other: `counts` from -1 to 1, and `chance_counts` pale behind them, where a space has these."""
    if not spaces:
        return ""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 2.6), layout="constrained")
        panels = np.atleast_1d(figure.subplots(1, len(spaces), sharex=True, sharey="chance_counts" in spaces[0]))
        for axes, space, name in zip(panels, spaces, names, strict=True):
            edges = np.linspace(-1, 1, len(space["counts"]) + 1)
            axes.set_title(name, fontsize=11)
            axes.set(xlabel="cosine", xlim=(-1, 1), xticks=(-1, -0.5, 0, 0.5, 1))
            if "chance_counts" in space:
                axes.stairs(space["chance_counts"], edges, fill=True, color=INK, alpha=0.2)
            axes.stairs(space["counts"], edges, fill=True, color=SERIES[0], alpha=0.75)
        return _inline(figure)


def neighbour_plot(panels: Sequence[dict[str, Any]]) -> str:
    """Words as points of a plane, one plane beside the other; the first of each side, and the next ones, with their names."""
    if not panels:
        return ""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE), warnings.catch_warnings(action="ignore"):  # the page's fonts have letters that matplotlib's lack
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        for number, panel in enumerate(panels, 1):
            axes = figure.add_subplot(1, len(panels), number, xticks=[], yticks=[])
            axes.set_title(panel["space"], fontsize=11)
            axes.spines[:].set_visible(False)
            axes.margins(0.12)
            seen = {"old": 0, "new": 0}
            for text, x, y, side in panel["points"]:
                colour, is_first = SERIES[side == "new"], not seen[side]
                axes.plot(x, y, "o", color=colour, markersize=7 if is_first else 3, alpha=1 if is_first else 0.6)
                if seen[side] < LABELS:
                    weight = "bold" if is_first else "normal"
                    axes.annotate(
                        text, (x, y), (3, 2), textcoords="offset points", fontsize=8, color=colour, weight=weight, parse_math=False
                    )
                seen[side] += 1
        return _inline(figure)


def size_plot(points: Sequence[tuple[float, float]]) -> str:
    """Bits per subword against pairs of parallel text, a dot for each run in its colour; nothing for less than two sizes."""
    if len({size for size, _ in points}) < 2:
        return ""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 3), layout="constrained")
        axes = figure.add_subplot(xlabel="pairs of parallel text", ylabel="bits per subword")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.plot(*zip(*sorted(points), strict=True), color=INK, linewidth=1, alpha=0.4)
        for i, point in enumerate(points):
            axes.plot(*point, color=SERIES[i % NUM_COLOURS], linestyle="none", marker="o", markersize=7)
        return _inline(figure)


def _points(records: list[dict[str, Any]], key: str) -> np.ndarray:
    """(n, 2) tokens and value of the records that carry a finite number under `key`."""
    found = [(record["tokens"], record[key]) for record in records if isinstance(record.get(key), int | float)]
    points = np.array(found, dtype=float).reshape(-1, 2)
    return points[np.isfinite(points[:, 1])]


def _smoothed(points: np.ndarray) -> np.ndarray:
    """The same points with their running mean over about a twentieth of the run, narrower at its ends."""
    reach = len(points) // 40
    sums = np.concatenate([[0], np.cumsum(points[:, 1])])
    index = np.arange(len(points))
    around = np.minimum(reach, np.minimum(index, len(points) - 1 - index))
    means = (sums[index + around + 1] - sums[index - around]) / (2 * around + 1)
    return np.column_stack([points[:, 0], means])


def _thinned(points: np.ndarray) -> np.ndarray:
    """At most POINTS of the points, evenly spaced, the first and the last among them."""
    if len(points) <= POINTS:
        return points
    return points[np.linspace(0, len(points) - 1, POINTS).round().astype(int)]


def _inline(figure: Any) -> str:
    """The figure as an <svg> element in the page's colours, with no size, font, id or metadata that the page does not need."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    names = {INK: "ink", RULE: "rule"} | {colour: f"series-{i}" for i, colour in enumerate(SERIES, 1)}
    for colour, name in names.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = re.sub(r' id="[a-z]+_\d+"', "", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font: (?:[a-z]+ )*([\d.]+px)[^;\"]*", r"font-size: \1", svg)  # as older matplotlibs write it
    svg = re.sub(r" font-family: [^;\"]*;", "", svg)
    return re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1), count=1)
