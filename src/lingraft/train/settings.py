"""What a phase of training is: which parts train, on what, with which objective, for how long."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from lingraft.model.names import check_part


def check_parts(parts: list[str]) -> list[str]:
    """The names, if they are names of parts. Raises RecipeError."""
    return [check_part(part) for part in parts]


class OptimiserSettings(BaseModel):
    """How parameters move."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    optimizer: Literal["adamw", "lamb"] = Field("adamw", description="adamw (Loshchilov & Hutter 2019) or lamb (You et al. 2020)")
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
    accumulation: int = Field(1, ge=1, description="forward passes that a step's batch is split into")
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
    languages: list[Literal["target", "source"]] = Field(
        ["target"], min_length=1, description="whose text it trains on; target: of all languages that the run is for"
    )
    alpha: float = Field(
        1.0, ge=0, le=1, description="of several texts, up-sample the small ones: shares of the blocks to this power; 1: as they are"
    )
    objective: Literal["auto", "mlm", "clm", "tlm", "mlm+tlm"] = Field(
        "auto", description="auto: mlm or clm, what the source is; tlm: mlm on parallel text, a line and its translation in each block; "
        "of two, each has half of every batch"
    )  # fmt: skip
    next_sentence: bool = Field(False, description="train on pairs of texts, and predict whether the second follows the first (BERT)")
    mid_embeddings: bool | None = Field(
        None, description="overrides surgery.mid_embeddings; false in the last phase: the result can be exported as a stock model"
    )
    mask_rate: float = Field(0.15, gt=0, lt=1, description="share of the tokens that are predicted (mlm)")
    whole_words: bool = Field(False, description="mask words whole (mlm)")

    @property
    def objectives(self) -> list[str]:
        """The names of what is trained for at once."""
        return self.objective.split("+")
