"""Pictures of the structural probe: a predicted tree beside the gold one, and UUAS layer by layer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lingraft.evaluate.probes.treebank import Sentence

GOLD, PREDICTED = "#444444", "#d1495b"
LEGIBLE = range(7, 21)
"""Words of a sentence whose tree is easily read."""


def draw(
    folder: Path,
    sentences: Sequence[Sentence],
    predictions: Sequence[Mapping[str, Any]],
    layers: Sequence[int],
    development: Sequence[Mapping[str, float]],
) -> None:
    """Write tree.png and .svg of the first sentence that is easily read, and layers.png and .svg. predictions: one line a sentence."""
    import matplotlib

    chosen = next((n for n, sentence in enumerate(sentences) if len(sentence.words) in LEGIBLE), 0)
    drawn = predictions[chosen]
    with matplotlib.rc_context({"svg.hashsalt": "lingraft", "svg.fonttype": "none", "font.size": 11}):
        _save(tree_figure(drawn["words"], drawn["gold"], drawn["predicted"]), folder / "tree")
        _save(layer_figure(layers, [found["uuas"] for found in development]), folder / "layers")


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path.with_suffix(".png"), dpi=150)
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})


def tree_figure(words: Sequence[str], gold: Sequence[Sequence[int]], predicted: Sequence[Sequence[int]]) -> Any:
    """Arcs above a sentence: gold ones, and predicted ones (dashed) a little lower. Edges are pairs of words, from 1."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Arc, Patch

    figure = Figure(figsize=(max(6.0, 0.75 * len(words)), 4), layout="constrained")
    axes = figure.add_subplot()
    longest = max((abs(a - b) for a, b in [*gold, *predicted]), default=1)
    for edges, colour, style, scale in ((gold, GOLD, "-", 1.0), (predicted, PREDICTED, "--", 0.88)):
        for a, b in edges:
            width = abs(a - b)
            axes.add_patch(Arc(((a + b) / 2, 0), width, 2 * scale * width, theta2=180, color=colour, linestyle=style, linewidth=1.5))
    for place, word in enumerate(words, 1):
        axes.text(place, -0.12 * longest, word, ha="right", va="top", rotation=40, rotation_mode="anchor")
    axes.set(xlim=(0, len(words) + 1), ylim=(-0.45 * longest, 1.1 * longest))
    axes.axis("off")
    right = len({tuple(edge) for edge in gold} & {tuple(edge) for edge in predicted})
    handles = [Patch(color=GOLD, label="gold"), Patch(color=PREDICTED, label=f"predicted ({right} of {len(gold)} right)")]
    axes.legend(handles=handles, frameon=False, loc="upper right")
    return figure


def layer_figure(layers: Sequence[int], scores: Sequence[float]) -> Any:
    """UUAS on development against the layer."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot(xlabel="layer (0: embeddings)", ylabel="UUAS on development")
    axes.plot(layers, scores, color=PREDICTED, marker="o")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    return figure
