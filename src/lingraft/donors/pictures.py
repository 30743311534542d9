"""Pictures of a map's scores, as PNG and SVG: heat map with margins, histogram, donors against recipients, within and across groups."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lingraft.files import atomic_write

COLOURS = "PuOr_r"
"""Orange for gains, purple for losses: told apart with every kind of colour blindness; its middle is white."""

GAIN, LOSS, QUIET = "#b35806", "#542788", "#777777"
CATEGORY_COLOURS = (LOSS, "#bbbbbb", "#fdb863", GAIN)
WIDTHS = (1, 2.5, 5)
"""Of the histogram's bars, in percent: each divides the bounds of the categories."""


def draw(told: Mapping[str, Any], out: Path) -> None:
    """All pictures of what scores.json holds, into the folder `out`."""
    import matplotlib
    from matplotlib.figure import Figure

    pictures: dict[str, Callable[[Any, Any], None]] = {"heat-map": heat_map, "histogram": histogram, "donors": scatter, "groups": groups}
    with matplotlib.rc_context({"svg.hashsalt": "lingraft", "font.size": 10}):
        for name, picture in pictures.items():
            figure = Figure(figsize=size(name, len(told["D"])), layout="constrained")
            picture(figure, told)
            for kind in ("png", "svg"):
                with atomic_write(out / f"{name}.{kind}") as path:
                    figure.savefig(path, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)


def size(name: str, languages: int) -> tuple[float, float]:
    """Inches."""
    side = max(5.0, 0.36 * languages + 2.5)
    return (side + 1.5, side) if name == "heat-map" else (7.0, 5.0)


def heat_map(figure: Any, told: Mapping[str, Any]) -> None:
    """F in percent: rows donors, best first, columns recipients, best first; D at the right, R below."""
    D, R = told["D"], told["R"]
    rows, columns = (sorted(values, key=lambda code: -values[code]["mean"]) for values in (D, R))
    F = 100 * np.array([[told["F"].get(s, {}).get(t, {}).get("mean", np.nan) for t in columns] for s in rows])
    grid = figure.add_gridspec(2, 2, width_ratios=[len(columns), 3], height_ratios=[len(rows), 3])
    axes = figure.add_subplot(grid[0, 0], ylabel="donor")
    limit = max(float(np.nanquantile(np.abs(F), 0.98)), 1e-9)
    clipped = "both" if np.nanmax(np.abs(F)) > limit else "neither"
    shown = axes.imshow(F, cmap=COLOURS, vmin=-limit, vmax=limit, aspect="auto")
    axes.set_facecolor("#dddddd")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xticks([])
    if len(columns) <= 25:
        for i, j in np.argwhere(np.isfinite(F)):
            strong = abs(F[i, j]) > 0.7 * limit
            axes.text(j, i, f"{round(F[i, j]):d}", ha="center", va="center", fontsize=7, color="white" if strong else "black")
    right = figure.add_subplot(grid[0, 1], sharey=axes, title="D")
    _bars(right.barh, D, rows)
    right.tick_params(labelleft=False)
    below = figure.add_subplot(grid[1, 0], sharex=axes, ylabel="R", xlabel="recipient")
    _bars(below.bar, R, columns)
    below.set_xticks(range(len(columns)), columns)
    figure.colorbar(shown, ax=right, label="F, % (grey: none)", location="right", shrink=0.8, extend=clipped)


def _bars(bars: Any, numbers: Mapping[str, Any], codes: list[str]) -> None:
    """One bar a language, in percent, with its interval."""
    means, lows, highs = (100 * np.array([numbers[code][key] for code in codes]) for key in ("mean", "low", "high"))
    error = np.maximum([means - lows, highs - means], 0)
    along = {"xerr" if bars.__name__ == "barh" else "yerr": error}
    bars(range(len(codes)), means, color=[GAIN if mean > 0 else LOSS for mean in means], ecolor=QUIET, **along)


def histogram(figure: Any, told: Mapping[str, Any]) -> None:
    """Pairs by F, coloured by category (Malkin et al. 2022, appendix), whose bounds are edges of bars."""
    F = 100 * np.array([number["mean"] for row in told["F"].values() for number in row.values()])
    width = next((width for width in WIDTHS if np.ptp(F) / width <= 40), WIDTHS[-1])
    edges = width * np.arange(np.floor(F.min() / width), np.floor(F.max() / width) + 2)
    axes = figure.add_subplot(xlabel="F, %", ylabel="pairs")
    for (name, bar), colour in zip(told["histogram"].items(), CATEGORY_COLOURS, strict=True):
        low, high = (default if bar[end] is None else 100 * bar[end] for end, default in (("from", -np.inf), ("to", np.inf)))
        label = f"{name}: {bar['pairs']} ({bar['low']:.0f} to {bar['high']:.0f})"
        axes.hist(F[(low <= F) & (high > F)], bins=edges, color=colour, edgecolor="white", linewidth=0.5, label=label)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(title="pairs (95 % interval)", frameon=False)


def scatter(figure: Any, told: Mapping[str, Any]) -> None:
    """Donation against recipience in percent, with intervals; the quarters are the blood types."""
    axes = figure.add_subplot(xlabel="D, donation, %", ylabel="R, recipience, %")
    axes.axhline(0, color=QUIET, linewidth=0.8)
    axes.axvline(0, color=QUIET, linewidth=0.8)
    for code in told["types"]:
        (x, *across), (y, *up) = ([100 * told[name][code][key] for key in ("mean", "low", "high")] for name in "DR")
        axes.plot(across, [y, y], color=QUIET, linewidth=0.8, alpha=0.6)
        axes.plot([x, x], up, color=QUIET, linewidth=0.8, alpha=0.6)
        axes.plot(x, y, "o", color=GAIN if told["sure"][code] else "white", markeredgecolor=GAIN)
        axes.annotate(code, (x, y), xytext=(4, 4), textcoords="offset points")
    for name, x, y in (("O", 0.98, 0.02), ("AB+", 0.02, 0.98), ("A", 0.98, 0.98), ("B", 0.02, 0.02)):
        place = {"ha": "right" if x > 0.5 else "left", "va": "top" if y > 0.5 else "bottom"}
        axes.text(x, y, name, transform=axes.transAxes, fontsize=14, color=QUIET, **place)
    axes.set_title("filled: both intervals leave out 0", fontsize=9)


def groups(figure: Any, told: Mapping[str, Any]) -> None:
    """F in percent of pairs that share a script or a family, and of those that do not (figure 5)."""
    about, boxes = told["languages"], {}
    for group in ("script", "family"):
        pairs = [(about[s].get(group), about[t].get(group), 100 * n["mean"]) for s, row in told["F"].items() for t, n in row.items()]
        for name, same in (("same", True), ("other", False)):
            values = [F for one, other, F in pairs if one and other and (one == other) is same]
            boxes[f"{name} {group}\n({len(values)} pairs)"] = values
    axes = figure.add_subplot(ylabel="F, %")
    axes.axhline(0, color=QUIET, linewidth=0.8)
    generator = np.random.default_rng(0)
    for place, values in enumerate(boxes.values(), 1):
        axes.plot(place + generator.uniform(-0.2, 0.2, len(values)), values, "o", color=QUIET, markersize=3, alpha=0.4)
    axes.boxplot(list(boxes.values()), tick_labels=list(boxes), medianprops={"color": GAIN}, showfliers=False)
