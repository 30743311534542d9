"""Probes: what a frozen model knows. PROBES is the table of them."""

from lingraft.evaluate.probes import scws, structural, syntactic, wic
from lingraft.evaluate.probes.base import Probe

PROBES: dict[str, Probe] = {
    "structural": Probe(structural.StructuralSettings, structural.answer, "syntax trees in the geometry of the states (CoNLL-U)"),
    "wic": Probe(wic.WicSettings, wic.answer, "does a word mean the same in two sentences (MCL-WiC, SuperGLUE)"),
    "scws": Probe(scws.ScwsSettings, scws.answer, "similarity of words in context against people's ratings (Huang et al. 2012)", False),
    "syntactic": Probe(
        syntactic.SyntacticSettings, syntactic.answer, "the grammatical one of two sentences (Marvin & Linzen, BLiMP)", False
    ),
}
