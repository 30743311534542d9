"""How new rows are made."""

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from lingraft.errors import RecipeError, suggest

METHODS = (
    "clp", "clp-plus", "copy", "distilled", "focus", "heuristic", "keep", "lexicon", "mapped", "ofa", "omp", "pieces", "ramen",
    "ramen-mono", "random", "rank", "static", "trans-tokenizer", "wechsel",
)  # fmt: skip
AUTO = "auto"


class RowSettings(BaseModel):
    """The method, and what methods can be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = Field(
        "copy",
        description="a row method; several joined by /: the mean of those that do not draw; joined by +: the first that does not draw; "
        "auto: the best of a race",
    )
    output: str | None = Field(None, description="the method of an output matrix that is not tied to the input's; by default the same")
    restore_length: bool = Field(False, description="make mixed rows as long as the rows they mix are on average")
    order: Literal["frequency", "id"] = Field("frequency", description="rank: what the rank of a token is")
    rank: int | None = Field(
        None,
        ge=1,
        description="train the word matrix as two factors of so many dimensions (OFA: 100 to 400); as wide as the model or wider: whole",
    )
    distil_steps: int = Field(200, ge=1, description="distilled: steps of 16 lines that the new rows train before all else")
    vectors: Literal["skipgram", "random"] = Field(
        "skipgram", description="static, mapped: vectors of pieces trained on the text, or drawn"
    )
    mapping: Literal["identical", "lexicon", "unsupervised", "adversarial"] = Field(
        "identical",
        description="mapped, and adapters = 'vectors': what the mapping starts from: "
        "tokens spelled alike, a lexicon, nothing, or nothing and an adversary",
    )
    adversary_steps: int = Field(
        1_000, ge=1, description="mapping = 'adversarial': steps of the map in each of 5 epochs; Conneau et al. 2018: 31,250"
    )
    trust: bool = Field(True, description="stop where vectors could not be mapped; false: go on with a warning, to measure what that gives")
    min_count: int = Field(10, ge=1, description="trans-tokenizer: how often words must have been aligned to count")

    @field_validator("method", "output")
    @classmethod
    def _known(cls, names: str | None, field: ValidationInfo) -> str | None:
        for name in re.split("[+/]", names) if names else ():
            if name not in METHODS and (names != AUTO or field.field_name != "method"):
                raise RecipeError(f"There is no row method {name!r}. {suggest(name, [*METHODS, AUTO])}")
        return names

    @property
    def methods(self) -> list[str]:
        """The names that are joined in `method`, then those in `output`."""
        return [name for names in (self.method, self.output) if names for name in re.split("[+/]", names)]
