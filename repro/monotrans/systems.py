"""The systems of the study, what they start from, and the rates that are tried (no script itself)."""

from dataclasses import dataclass

from shared import BODY_RATE, BODY_STEPS, SIZE

GRAFT_STEPS = 600
JOINT_RATE, DISJOINT_RATE, CLWE_RATE, GRAFT_RATE, POSITIONS_RATE = "1e-3", "6e-4", "6e-4", "3e-3", "1e-3"
JOINT_POS_RATE = "1e-3"
ONE, FULL, ALL = ("de",), ("de", "ru"), ("de", "ru", "es", "fr")
"""Languages of a further trial, of the systems of the paper, and of those whose claim is the paper's first."""


@dataclass(frozen=True, slots=True)
class Body:
    """A model of English and perhaps more: the body that it starts from ("": MiniLM), recipe, other languages, changes, steps, rate."""

    start: str
    recipe: str
    others: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    steps: int = BODY_STEPS
    rate: str = BODY_RATE


BODIES = {
    "MiniLM": Body("", "target-finetune", (), (), 0),
    "en bare": Body("en", "target-finetune", (), ("surgery.bare_begin=true",), 0),
    "joint": Body("en", "joint", ("{}",), rate=JOINT_RATE),
    "disjoint": Body("en", "disjoint", ("{}",), ("rows.method=random",), rate=DISJOINT_RATE),
    "multi small": Body("en", "joint", ALL, rate=JOINT_RATE),
    "multi large": Body("en", "joint", ALL, ("tokenizer.size=24000",), rate=JOINT_RATE),
    "clwe": Body(
        "",
        "copy",
        changes=("rows.method=static", "phases.train.train=['body','head','positions','segments','specials','added']"),
        rate=CLWE_RATE,
    ),
}
"""Beside "en", which studies share: a body that starts from it has seen as much English and BODY_STEPS more. {}: the target."""


@dataclass(frozen=True, slots=True)
class System:
    """A row of the table: its body, the recipe of its graft ("" for none: the body has both languages), how it is fine-tuned.

    is_relative: noise is in units of each table's root mean square.
    languages: which it is measured in. steps, rate, size: the graft's, and tokens of its vocabulary. pos_rate: of fine-tuning on parts of
    speech, where it is not that of the others.
    """

    body: str
    graft: str = ""
    changes: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()
    noise: float = 0.0
    is_relative: bool = False
    languages: tuple[str, ...] = FULL
    steps: int = GRAFT_STEPS
    rate: str = GRAFT_RATE
    size: int = SIZE
    pos_rate: str = ""


WORDS, POSITIONS, ALIGNED, SIGMA = ("embeddings",), ("embeddings", "positions"), ("rows.method=ramen",), 0.075
RELATIVE = 0.5
"""The paper's noise is more than MiniLM's rows have in one dimension: beside it one of half their size."""
STATES = (*ALIGNED, "batch=32", "length=96", "tokenizer.lowercase=false", "phases.train.align_units=words")
STATES += ("surgery.adapters=bottleneck", "phases.train.train=['words','adapters']")
HEADED = (*ALIGNED, "phases.train.train=['words','head']")
TWINS = ("rows.method=copy+ramen+pieces",)
MAPPED = ("rows.trust=false",)  # where vectors could not be mapped, that is a score too
SYSTEMS = {
    "MonoTrans": System("en", "monotrans", (), WORDS, languages=ALL),
    "MonoTrans, aligned rows": System("en", "monotrans", ALIGNED, WORDS),
    "MonoTrans, aligned rows, no training": System("en", "monotrans", ALIGNED, WORDS, steps=0),
    "JointPair, disjoint": System("disjoint", freeze=WORDS, languages=ALL),
    "MonoTrans + pos": System("en bare", "monotrans-pos", (), POSITIONS, rate=POSITIONS_RATE),
    "MonoTrans + pos, aligned rows": System("en bare", "monotrans-pos", ALIGNED, POSITIONS, rate=POSITIONS_RATE),
    "MonoTrans + pos, aligned rows, 3e-3": System("en bare", "monotrans-pos", (*ALIGNED, "learning_rate=3e-3"), POSITIONS),
    "MonoTrans + pos, aligned rows, 3e-4": System("en bare", "monotrans-pos", (*ALIGNED, "learning_rate=3e-4"), POSITIONS, languages=ONE),
    "+ noise": System("en bare", "monotrans-pos", (), POSITIONS, SIGMA, rate=POSITIONS_RATE),
    "+ noise, aligned rows": System("en bare", "monotrans-pos", ALIGNED, POSITIONS, SIGMA, rate=POSITIONS_RATE),
    "+ adapters": System("en bare", "monotrans-adapters", (), POSITIONS, SIGMA, rate=POSITIONS_RATE),
    "+ adapters, aligned rows": System("en bare", "monotrans-adapters", ALIGNED, POSITIONS, SIGMA, rate=POSITIONS_RATE),
    "+ adapters, no noise, aligned rows": System("en bare", "monotrans-adapters", ALIGNED, POSITIONS, rate=POSITIONS_RATE),
    "+ adapters, no noise, aligned rows, 2,000 steps": System(
        "en bare", "monotrans-adapters", ALIGNED, POSITIONS, languages=ONE, steps=2000, rate=POSITIONS_RATE
    ),
    "+ relative noise, aligned rows": System("en bare", "monotrans-pos", ALIGNED, POSITIONS, RELATIVE, True, rate=POSITIONS_RATE),
    "JointPair, joint": System("joint", pos_rate=JOINT_POS_RATE),
    "JointMulti, 8,000": System("multi small", pos_rate=JOINT_POS_RATE),
    "JointMulti, 24,000": System("multi large", pos_rate=JOINT_POS_RATE),
    "CLWE": System("clwe", "clwe-graft", MAPPED, WORDS, steps=0),
    "MiniLM itself, aligned rows, no training": System("MiniLM", "monotrans", ALIGNED, WORDS, languages=ONE, steps=0, size=2 * SIZE),
    "MiniLM itself, rows of twins copied, others aligned, no training": System(
        "MiniLM", "monotrans", TWINS, WORDS, languages=ONE, steps=0, size=2 * SIZE
    ),
    "MiniLM itself, aligned rows, 350 steps": System("MiniLM", "monotrans", HEADED, WORDS, languages=ONE, steps=350, size=2 * SIZE),
    "MiniLM itself, aligned rows and states": System("MiniLM", "aligned", STATES, WORDS, languages=ONE, steps=3000, size=2 * SIZE),
}
"""The last four are what parallel text makes of a model as it is; MiniLM has no head that predicts words: the 350 steps train one, too,
which its body was given at random.
The last one's vocabulary keeps case, and it has adapters, which learn its states as its rows do."""
TRIED = {
    "English body": ("3e-4", "1e-3"),
    "MonoTrans": ("1e-3", "3e-3", "1e-2"),
    "MonoTrans, aligned rows": ("1e-3", "3e-3"),
    "MonoTrans + pos": ("1e-3", "3e-3"),
    "+ adapters": ("1e-3", "3e-3"),
    "JointPair, disjoint": ("3e-4", "6e-4", "1e-3"),
    "JointPair, joint": ("3e-4", "6e-4", "1e-3", "2e-3"),
    "CLWE body": ("3e-4", "6e-4", "1e-3"),
    "alone": ("2.5e-4", "5e-4", "1e-3", "2e-3"),
    "MonoTrans: pos": ("1e-4", "2e-4", "5e-4", "1e-3"),
    "MonoTrans: ner": ("1e-4", "2e-4", "5e-4"),
    "JointPair, joint: pos": ("2e-4", "5e-4", "1e-3"),
    "JointPair, joint: ner": ("1e-4", "2e-4", "5e-4"),
}
"""Learning rates, each tried by TRIAL_STEPS of German (tasks: by one seed in English; what begins with nothing, by ALONE_TRIAL);
the best is the one above."""
