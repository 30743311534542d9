"""The table beside the paper's, section 5, and the claims one by one (no script itself)."""

import math
from typing import Any

from shared import ALONE_TRIAL, TRIAL_STEPS, Number, gain, verdict

PAPER = {
    "MonoTrans": (67.8, 61.1),
    "MonoTrans + pos": (69.1, 56.8),
    "+ noise": (70.0, 57.8),
    "+ adapters": (69.5, 66.8),
    "JointPair, joint": (70.4, None),
    "JointPair, disjoint": (71.1, 67.0),
    "JointMulti, 8,000": (65.0, None),
    "JointMulti, 24,000": (70.5, None),
    "CLWE": (60.1, None),
}
"""Averages of XNLI accuracy (table 1; JointMulti with 32k and 200k) and of XQuAD F1 (table 3)."""
UNTRAINED = "MonoTrans, aligned rows, no training"
CLAIMS = [
    ("MonoTrans comes near JointPair, disjoint (shown: differences + 5 points)", "MonoTrans", "JointPair, disjoint", -5.0),
    ("MonoTrans comes near JointMulti, 24,000 (shown: differences + 5 points)", "MonoTrans", "JointMulti, 24,000", -5.0),
    ("own positions help", "MonoTrans + pos", "MonoTrans", 0.0),
    ("noise in fine-tuning helps", "+ noise", "MonoTrans + pos", 0.0),
    ("adapters help", "+ adapters", "+ noise", 0.0),
    ("(aligned rows) own positions help, at 3e-3", "MonoTrans + pos, aligned rows, 3e-3", "MonoTrans, aligned rows", 0.0),
    ("(aligned rows) noise in fine-tuning helps", "+ noise, aligned rows", "MonoTrans + pos, aligned rows", 0.0),
    ("(aligned rows) noise of half the tables' size helps", "+ relative noise, aligned rows", "MonoTrans + pos, aligned rows", 0.0),
    ("(aligned rows) adapters help", "+ adapters, aligned rows", "+ noise, aligned rows", 0.0),
    ("(aligned rows) adapters help without noise", "+ adapters, no noise, aligned rows", "MonoTrans + pos, aligned rows", 0.0),
    (
        "disjoint vocabularies do at least as well as a joint one, whose rows also train in fine-tuning",
        "JointPair, disjoint",
        "JointPair, joint",
        0.0,
    ),
    ("a larger vocabulary helps JointMulti", "JointMulti, 24,000", "JointMulti, 8,000", 0.0),
    ("MonoTrans beats CLWE", "MonoTrans", "CLWE", 0.0),
    ("(not in the paper) aligned rows help MonoTrans", "MonoTrans, aligned rows", "MonoTrans", 0.0),
    ("(not in the paper) training aligned rows to predict words helps, at 3e-3", "MonoTrans, aligned rows", UNTRAINED, 0.0),
    ("(not in the paper) it helps with positions, at 3e-3", "MonoTrans + pos, aligned rows, 3e-3", UNTRAINED, 0.0),
    ("(not in the paper) it helps with positions, at 1e-3", "MonoTrans + pos, aligned rows", UNTRAINED, 0.0),
    ("(not in the paper) it helps with positions, at 3e-4", "MonoTrans + pos, aligned rows, 3e-4", UNTRAINED, 0.0),
    ("(not in the paper) aligned rows help MonoTrans + pos", "MonoTrans + pos, aligned rows", "MonoTrans + pos", 0.0),
    (
        "(not in the paper) MonoTrans + pos from aligned rows beats JointPair, joint",
        "MonoTrans + pos, aligned rows",
        "JointPair, joint",
        0.0,
    ),
    ("(not in the paper) aligned rows help with noise", "+ noise, aligned rows", "+ noise", 0.0),
    ("(not in the paper) more steps help drawn rows", "MonoTrans, 4,000 steps", "MonoTrans", 0.0),
    ("(not in the paper) aligned rows help with adapters", "+ adapters, aligned rows", "+ adapters", 0.0),
]
"""What is said, of which system, against which other, and how much better it must be at least."""
LOST = 2.0
"""Points: two systems that are no farther above the majority's guess say nothing about each other."""


def print_tables(lines: list[dict[str, Any]]) -> None:
    """Everything."""
    systems = {_key(line): line["values"] for line in lines if "system" in line["key"]}
    columns = sorted({key[1:] for key in systems}, key=lambda column: (column[0] != "pos", column[1]))
    print("Zero-shot, x 100: accuracy (pos), F1 (ner); mean ± sample standard deviation over fine-tuning seeds; in brackets English\n")
    _row(["system", *(f"{task} {code}" for task, code in columns), "paper: XNLI", "XQuAD F1"])
    _row(["---"] * (len(columns) + 3))
    for system in dict.fromkeys(key[0] for key in systems):
        paper = PAPER.get(system, (None, None))
        _row([system, *(_cell(systems.get((system, *column))) for column in columns), *("" if one is None else one for one in paper)])
    baselines = [next((found["baseline"] for key, found in systems.items() if key[1:] == column), 0.0) for column in columns]
    _row(["majority", *(f"{100 * baseline:.1f}" for baseline in baselines), "", ""])
    print("\nClaims, task by task: differences ± twice the standard error of fine-tuning seeds; each body and graft was trained once\n")
    for claim in CLAIMS:
        _claim(systems, columns, *claim)
    probes = [line for line in lines if "probe" in line["key"]]
    if probes:
        print("\nSection 5: English rows on the body of another language (en: the English model itself), x 100\n")
        _row(["body", "probe", "score", "value", "baseline"])
        _row(["---"] * 5)
        for line in probes:
            for score, value in line["values"]["scores"].items():
                guess = line["values"]["baseline"].get(score)
                key = line["key"]
                _row([key["language"], key["probe"], score, f"{100 * value:.1f}", "" if guess is None else f"{100 * guess:.1f}"])
    steps = f"{TRIAL_STEPS} steps each (alone {ALONE_TRIAL:,}; tasks a whole fine-tuning of one seed)"
    print(f"\nLearning rates, {steps}: development text or sentences\n")
    for line in (line for line in lines if "tried" in line["key"]):
        print(f"- {line['key']['tried']}, {line['key']['rate']}: {line['values']['value']:.4f} {line['values']['score']}")
    print("\nMinutes of each cell, with the models that it is the first to need\n")
    for line in lines:
        print(f"- {', '.join(line['key'].values())}: {line['values']['minutes']:.1f}")
    print(f"- all: {sum(line['values']['minutes'] for line in lines):.0f}")


def _key(line: dict[str, Any]) -> tuple[str, str, str]:
    key = line["key"]
    return key["system"], key["task"], key["language"]


def _row(cells: list[Any]) -> None:
    print("| " + " | ".join(map(str, cells)) + " |")


def _cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    return f"{100 * found['scores']['target']:.1f} ± {100 * found['sd']['target']:.1f} ({100 * found['scores']['en']:.1f})"


def _claim(systems: dict[Any, Any], columns: list[tuple[str, str]], text: str, one: str, other: str, least: float) -> None:
    """A line for a claim, with by how much more than the least each difference is, where both systems are measured and not both are lost:
    no more than LOST above the majority's guess."""
    gains, lost = {}, []
    for column in columns:
        if (one, *column) in systems and (other, *column) in systems:
            first, second = (_number(systems[system, *column]) for system in (one, other))
            if max(first[0], second[0]) < 100 * systems[one, *column]["baseline"] + LOST:
                lost.append(" ".join(column))
                continue
            mean, error = gain(first, second)
            gains[" ".join(column)] = mean - least, error
    if gains or lost:
        says = [verdict(text, gains) if gains else f"{text}: not to be said"]
        says += [f"both as good as a guess: {', '.join(lost)}"] if lost else []
        print(f"- {'; '.join(says)}")


def _number(found: dict[str, Any]) -> Number:
    return 100 * found["scores"]["target"], 100 * found["sd"]["target"] / math.sqrt(found["n"])
