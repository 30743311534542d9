"""What a phase of training is: which parts train, on what, with which objective, for how long."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from lingraft.errors import RecipeError, suggest
from lingraft.model.names import check_part

OBJECTIVES = ("auto", "mlm", "clm", "tlm", "brlm", "cdlm", "align", "middle")
ON_PARALLEL = {"tlm", "brlm", "cdlm"}
"""Objectives of prediction that are trained for on parallel text."""
ALIGNING = {"align", "middle"}
"""Objectives that compare the states of linked pieces of it."""
ON_LINKS = {"brlm", "cdlm", *ALIGNING}
"""Those of them that ask which piece of a line stands for which piece of its translation."""
REST = "rest"
MEAN = "mean"


def check_parts(parts: list[str]) -> list[str]:
    """The names, if they are names of parts. Raises RecipeError."""
    return [check_part(part) for part in parts]


class OptimiserSettings(BaseModel):
    """How parameters move."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    optimizer: Literal["adamw", "lamb"] = Field(
        "adamw", description="adamw (Loshchilov & Hutter 2019) or lamb (You et al. 2020; of vectors, and what begins at 0, Adam's steps)"
    )
    learning_rate: float = Field(5e-5, gt=0, description="peak learning rate")
    betas: tuple[float, float] = Field((0.9, 0.999), description="decay of the two moments")
    epsilon: float = Field(1e-8, gt=0, description="added to the denominator")
    weight_decay: float = Field(0.0, ge=0, description="decoupled decay of matrices; biases and norms have none")
    schedule: Literal["linear", "cosine", "constant"] = Field("linear", description="after the warm-up: to 0 linearly, by a cosine, or not")
    warmup: float = Field(0.0, ge=0, lt=1, description="share of the steps in which the rate rises from 0")
    clip: float = Field(1.0, ge=0, description="largest norm of the gradient; 0: no clipping")


class Switch(BaseModel):
    """A change of the parts that train, during a phase."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: float = Field(gt=0, lt=1, description="share of the phase's steps after which the change comes")
    train: list[str] = Field(min_length=1, description="parts that train from then on")

    _known = field_validator("train")(check_parts)


class TrainingSettings(OptimiserSettings):
    """What trains, for how long, on how much at once: of a phase, and of a task."""

    train: list[str] = Field(["all"], min_length=1, description="parts that train (see lingraft.model.parts)")
    freeze: list[str] = Field([], description="parts that stay as they are, though parts that train hold them")
    switch: list[Switch] = Field([], description="staged unfreezing: other parts from a share of the steps on")
    steps: int | None = Field(None, ge=0, description="optimiser steps; takes precedence over epochs")
    epochs: float = Field(1.0, gt=0, description="passes over the training text")
    batch: int = Field(128, ge=1, description="blocks per optimiser step, over all processes and accumulation steps")
    accumulation: int | None = Field(
        None,
        ge=1,
        description="forward passes that a step's batch is split into; by default 1, on a CPU 2 where inputs differ in length",
    )
    length: int = Field(128, ge=4, description="tokens per block, specials included")
    dropout: float | None = Field(None, ge=0, lt=1, description="overrides every dropout of the model")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 where the hardware computes in it")
    gradient_checkpointing: bool = Field(False, description="recompute activations: less memory, more time")
    compile: bool = Field(False, description="torch.compile the body")

    _known = field_validator("train", "freeze")(check_parts)

    def all_parts(self) -> list[list[str]]:
        """What trains, from the beginning and after each switch."""
        return [self.train, *(switch.train for switch in self.switch)]


class PhaseSettings(TrainingSettings):
    """One phase of a recipe."""

    restarts: int = Field(
        0,
        ge=0,
        description="train it so many times more, from other seeds, and keep what has the lowest held-out loss; of the first phase "
        "drawn rows are drawn anew",
    )
    start_from: str | None = Field(None, description="the phase to start from; by default the one before")
    merge: dict[str, str] | None = Field(
        None,
        description="start from several phases: part = phase that it comes from; rest = a phase, or mean: of all phases named here; "
        "with steps = 0 nothing else is done (`--set steps=N` and `--minutes` then leave the phase out)",
    )
    languages: list[Literal["target", "source"]] = Field(
        ["target"], min_length=1, description="whose text it trains on; target: of all languages that the run is for"
    )
    alpha: float = Field(
        1.0, ge=0, le=1, description="of several texts, up-sample the small ones: shares of the blocks to this power; 1: as they are"
    )
    objective: str = Field(
        "auto", description="auto: mlm or clm, what the source is. On parallel text: tlm, mlm of a line and its translation in one block; "
        "brlm, the same, but a token is predicted at the place of the token it is linked with; cdlm, a line is read and its translation "
        "predicted, through the TRILayer. Several are joined by +: each has the same share of every batch. Alone: align, states of linked "
        "pieces are pulled together (Cao et al. 2020); middle, the target's are pulled half-way to the source's (Doval et al. 2018)"
    )  # fmt: skip
    in_turn: bool = Field(False, description="several objectives have whole batches in turn, instead of a share of each")
    direction: Literal["to-target", "to-source", "both"] = Field(
        "to-target", description="cdlm: which language is predicted from the other; both: every other line"
    )
    next_sentence: bool = Field(False, description="train on pairs of texts, and predict whether the second follows the first (BERT)")
    align_depths: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        [1.0], min_length=1, description="of align: after which shares of the layers states are compared; 1: after the last"
    )
    align_units: Literal["pieces", "words"] = Field(
        "pieces", description="of align: what is linked; words: their first pieces, which tasks on words look at"
    )
    align_anchor: float = Field(
        1.0, ge=0, description="of align: weight of the distance of the source's states from what they were, where its vocabulary is kept"
    )
    mid_embeddings: bool | None = Field(
        None, description="overrides surgery.mid_embeddings; false in the last phase: the result can be exported as a stock model"
    )
    mask_rate: float = Field(0.15, gt=0, lt=1, description="share of the tokens that are predicted (mlm)")
    whole_words: bool = Field(False, description="mask words whole (mlm)")

    @field_validator("objective")
    @classmethod
    def _known_objectives(cls, joined: str) -> str:
        names = joined.split("+")
        for name in names:
            if name not in OBJECTIVES:
                raise RecipeError(f"There is no objective {name!r}. {suggest(name, OBJECTIVES)}")
        if len(names) > 1 and ("auto" in names or len(set(names)) < len(names)):
            raise RecipeError(f"objective = {joined!r}: name each once, and no 'auto' among several.")
        if len(names) > 1 and ALIGNING & set(names):
            raise RecipeError(f"objective = {joined!r}: align and middle stand alone. Give each a phase of its own.")
        return joined

    @field_validator("merge")
    @classmethod
    def _parts_and_rest(cls, merge: dict[str, str] | None) -> dict[str, str] | None:
        if merge is not None:
            check_parts([part for part in merge if part != REST])
            if REST not in merge or len(merge) < 2:
                raise RecipeError(
                    "merge names the phase of one part or more, and of the rest: merge = {'layers.0' = 'one', rest = 'mean'}."
                )
        return merge

    @property
    def starts(self) -> list[str]:
        """The phases that are named as those it starts from, each once."""
        named = [] if self.merge is None else [phase for phase in self.merge.values() if phase != MEAN]
        return list(dict.fromkeys([*([self.start_from] if self.start_from else []), *named]))

    @property
    def trains(self) -> bool:
        """Whether it is more than a merge of others."""
        return self.merge is None or self.steps != 0

    @property
    def objectives(self) -> list[str]:
        """The names of what is trained for at once."""
        return self.objective.split("+")


class LinkSettings(BaseModel):
    """How pieces of parallel text are aligned, and which pairs are good enough to train on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Literal["fast_align", "eflomal", "hmm", "ibm1", "ibm2"] = Field("fast_align", description="what aligns: see `lingraft align`")
    iterations: int = Field(5, ge=1, description="of its training")
    symmetrisation: Literal["none", "intersection", "union", "grow-diag", "grow-diag-final-and"] = Field(
        "none", description="none: each piece has its likeliest link; else the likeliest of those that are left when both ways are joined"
    )
    longest_ratio: float = Field(
        3.0, ge=1, description="pairs are dropped where one side has more than so many times the pieces of the other"
    )
    least_linked: float = Field(
        0.3, ge=0, le=1, description="pairs are dropped of whose shorter side less than this share of the pieces is linked in both ways"
    )
