"""How new rows are made."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from lingraft.errors import RecipeError, suggest

METHODS = ("copy", "keep", "pieces", "random", "rank")


class RowSettings(BaseModel):
    """The method, and what methods can be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = Field("copy", description="a name in lingraft.embeddings.ROWS")
    order: Literal["frequency", "id"] = Field("frequency", description="rank: what the rank of a token is")

    @field_validator("method")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in METHODS:
            raise RecipeError(f"There is no row method {name!r}. {suggest(name, METHODS)}")
        return name
