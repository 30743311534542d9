"""Settings of a grid: the model of every cell, and how it is trained and scored."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lingraft.model.settings import ArchitectureSettings
from lingraft.train.settings import OptimiserSettings, PhaseSettings


class GridSettings(OptimiserSettings):
    """Malkin et al. 2022, section 4.1: BERT of 4 layers and 4 heads, 512 wide, batches of 8 sentences cut to 128 tokens, up to 4 epochs.
    The paper names no optimiser: these rates are those of BERT's own pre-training (Devlin et al. 2019, appendix A.2)."""

    learning_rate: float = Field(1e-4, gt=0, description="peak learning rate")
    weight_decay: float = Field(0.01, ge=0, description="decoupled decay of matrices")
    warmup: float = Field(0.01, ge=0, lt=1, description="share of the steps in which the rate rises from 0")
    layers: int = Field(4, ge=1, description="number of layers")
    width: int = Field(512, ge=2, description="dimensions of the hidden states")
    heads: int = Field(4, ge=1, description="attention heads of a layer")
    dropout: float | None = Field(None, ge=0, lt=1, description="every dropout of the model; by default BERT's, 0.1")
    batch: int = Field(8, ge=1, description="sentences per step")
    length: int = Field(128, ge=4, description="tokens of a sentence, specials included; what is longer is cut off")
    epochs: float = Field(4, gt=0, description="passes over the text of all of a cell's languages; with choose_epochs the most")
    choose_epochs: list[Annotated[str, Field(min_length=1)]] = Field(
        [], description="languages on which the number of epochs is chosen: that after which their held-out loss is lowest, on average"
    )
    steps: int | None = Field(None, ge=1, description="optimiser steps; takes precedence over epochs")
    mask_rate: float = Field(0.15, gt=0, lt=1, description="share of the tokens that are predicted, in training and in scoring")
    masking_seed: int = Field(0, ge=0, description="draws, with the language's code, what of held-out text is masked: once for all models")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 where the hardware computes in it")

    @model_validator(mode="after")
    def _fit(self) -> "GridSettings":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} cannot be split between {self.heads} heads")
        if self.choose_epochs and (self.steps is not None or self.epochs < 2 or self.epochs != int(self.epochs)):
            raise ValueError("with choose_epochs, epochs is a whole number of 2 or more, and steps is not set")
        return self

    def architecture(self) -> ArchitectureSettings:
        """The shape of every cell's model."""
        return ArchitectureSettings(
            layers=self.layers, width=self.width, heads=self.heads, dropout=self.dropout, positions=max(512, self.length)
        )

    def phase(self) -> PhaseSettings:
        """What the training loop is told."""
        shared = PhaseSettings.model_fields.keys() & type(self).model_fields.keys()
        return PhaseSettings(**{name: getattr(self, name) for name in shared}, objective="mlm")
