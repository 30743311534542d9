"""Probes: what a frozen model knows. PROBES is the table of them."""

from lingraft.evaluate.probes import structural
from lingraft.evaluate.probes.base import Probe

PROBES: dict[str, Probe] = {
    "structural": Probe(structural.StructuralSettings, structural.answer, "syntax trees in the geometry of the states (CoNLL-U)"),
}
