"""The table beside the paper's, section 5, and the claims one by one (no script itself)."""

import math
from typing import Any

from shared import ALONE_TRIAL, TRIAL_STEPS, Number, gain, verdict

PAPER = {
    "MonoTrans": (67.8, 81.2, 86.0, 61.1),
    "MonoTrans + pos": (69.1, 80.0, 86.9, 56.8),
    "+ noise": (70.0, 76.7, 82.7, 57.8),
    "+ adapters": (69.5, 79.3, 82.0, 66.8),
    "JointPair, joint": (70.4, 81.5, 86.5, 64.9),
    "JointPair, disjoint": (71.1, 80.8, 87.5, 67.0),
    "JointMulti, 8,000": (65.0, 78.9, 83.5, 54.5),
    "JointMulti, 24,000": (70.5, 80.4, 87.0, 65.7),
    "CLWE": (60.1, 82.3, 83.5, 39.5),
}
PAPER_TASKS = ("XNLI", "MLDoc", "PAWS-X", "XQuAD F1")
"""Averages over languages (tables 1, 2, 3; JointMulti with 32k and 200k, CLWE 768 wide from identical strings)."""
PAPER_PROBES = {
    ("wic", "accuracy"): {"en": 59.1, "de": 58.0, "ru": 57.7, "es": 59.6},
    ("syntactic", "accuracy_agreement"): {"en": 86.5, "de": 57.6, "ru": 73.6, "es": 65.7},
    ("syntactic", "accuracy_reflexives"): {"en": 79.2, "de": 53.3, "ru": 75.4, "es": 66.6},
}
"""Table 4: English alone, and from each language."""
PROBE_ERRORS = {"wic": {"accuracy": 2.2}, "syntactic": {"accuracy_agreement": 0.8, "accuracy_reflexives": 1.5}}
"""One standard error of such a score in points, were all pairs drawn alone; those of the syntactic probe come from a few templates."""
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
    ("with one vocabulary two languages do better than five", "JointPair, joint", "JointMulti, 8,000", 0.0),
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
    _row(["system", *(f"{task} {code}" for task, code in columns), f"paper: {PAPER_TASKS[0]}", *PAPER_TASKS[1:]])
    _row(["---"] * (1 + len(columns) + len(PAPER_TASKS)))
    for system in dict.fromkeys(key[0] for key in systems):
        failed = " (map failed)" if any(key[0] == system and _is_unmapped(found) for key, found in systems.items()) else ""
        _row(
            [system + failed, *(_cell(systems.get((system, *column))) for column in columns), *PAPER.get(system, ("",) * len(PAPER_TASKS))]
        )
    baselines = [next((found["baseline"] for key, found in systems.items() if key[1:] == column), 0.0) for column in columns]
    _row(["majority", *(f"{100 * baseline:.1f}" for baseline in baselines), *("",) * len(PAPER_TASKS)])
    print("\nClaims, task by task: differences ± twice the standard error of fine-tuning seeds; each body and graft was trained once\n")
    for claim in CLAIMS:
        _claim(systems, columns, *claim)
    probes = [line for line in lines if "probe" in line["key"]]
    if probes:
        print("\nSection 5: English rows on the body of another language (en: the English model itself; none: on random weights), x 100\n")
        _row(["body", "probe", "score", "value", "baseline", "paper"])
        _row(["---"] * 6)
        for line in probes:
            for score, value in ((name, value) for name, value in line["values"]["scores"].items() if "/" not in name):
                guess = line["values"]["baseline"].get(score)
                key = line["key"]
                paper = PAPER_PROBES.get((key["probe"], score), {}).get(key["language"], "")
                _row([key["language"], key["probe"], score, f"{100 * value:.1f}", "" if guess is None else f"{100 * guess:.1f}", paper])
        _probe_claims(probes)
    steps = f"{TRIAL_STEPS} steps each (alone {ALONE_TRIAL:,}; tasks a whole fine-tuning of one seed)"
    print(f"\nLearning rates, {steps}: development text or sentences\n")
    for line in (line for line in lines if "tried" in line["key"]):
        print(f"- {line['key']['tried']}, {line['key']['rate']}: {line['values']['value']:.4f} {line['values']['score']}")
    print("\nMinutes of each cell, with the models that it is the first to need\n")
    for line in lines:
        print(f"- {', '.join(line['key'].values())}: {line['values']['minutes']:.1f}")
    print(f"- all: {sum(line['values']['minutes'] for line in lines):.0f}")


def _probe_claims(probes: list[dict[str, Any]]) -> None:
    """Whether English rows know English on bodies that never saw it, and whether that is the bodies' doing."""
    print()
    for text, probe, score, base in (
        ("rows on other bodies tell words' senses apart (wic, accuracy - 50)", "wic", "accuracy", ""),
        ("rows on other bodies know agreement (accuracy - 50)", "syntactic", "accuracy_agreement", ""),
        ("rows on other bodies know reflexives (accuracy - 50)", "syntactic", "accuracy_reflexives", ""),
        ("(not in the paper) they know more of agreement than on random weights", "syntactic", "accuracy_agreement", "none"),
    ):
        found = {line["key"]["language"]: line["values"]["scores"][score] for line in probes if line["key"]["probe"] == probe}
        if not base or base in found:
            least = found[base] if base else 0.5
            error = PROBE_ERRORS[probe][score] * (2**0.5 if base else 1.0)
            gains = {code: (100 * (value - least), error) for code, value in found.items() if code not in ("en", "none")}
            print(f"- {verdict(text, gains)}")
    bits = {line["key"]["language"]: line["values"]["bits_per_byte"] for line in probes if line["key"]["probe"] == "syntactic"}
    print(f"- bits a byte of English: {', '.join(f'{code} {value:.3f}' for code, value in bits.items())}")


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
    """A line for a claim, with the paper's differences, and by how much more than the least each difference is, where both systems are
    measured and not both are lost: no more than LOST above the majority's guess. Of vectors that could not be mapped nothing is said."""
    gains, lost = {}, []
    if one in PAPER and other in PAPER:
        theirs = zip(PAPER_TASKS, PAPER[one], PAPER[other], strict=True)
        text += f" (paper: {', '.join(f'{task} {ours - rival:+.1f}' for task, ours, rival in theirs)})"
    if any(key[0] in (one, other) and _is_unmapped(found) for key, found in systems.items()):
        print(f"- {text}: not to be said: the vectors could not be mapped")
        return
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


def _is_unmapped(found: dict[str, Any]) -> bool:
    """Whether its rows are vectors whose map is not to be trusted."""
    return not found.get("mapping", {}).get("reliable", True)


def _number(found: dict[str, Any]) -> Number:
    return 100 * found["scores"]["target"], 100 * found["sd"]["target"] / math.sqrt(found["n"])
