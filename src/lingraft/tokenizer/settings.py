"""Which tokenizer a run uses."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lingraft.errors import RecipeError


class TokenizerSettings(BaseModel):
    """Train one, train the source's further, read one, or keep the source's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocabulary: Literal["replace", "extend", "joint", "disjoint", "source"] = Field(
        "replace",
        description="replace: a tokenizer for the target; extend: the source's, with tokens of the target's text behind its own; "
        "joint: one for all languages; disjoint: one for each language, side by side while the model trains; "
        "source: the source's own",
    )
    algorithm: Literal["same", "wordpiece", "unigram", "bpe"] = Field("same", description="how to train it; same: as the source's")
    size: int = Field(32000, ge=16, description="tokens, specials included; with extend: tokens that are added")
    alphabet: int | None = Field(
        None,
        ge=1,
        description="wordpiece, unigram: most characters that are tokens; by default a quarter of the size, at least 256",
    )
    lowercase: bool = Field(False, description="fold case")
    alpha: float = Field(
        1.0, ge=0, le=1, description="of several texts, up-sample the small ones: shares of the lines to this power; 1: as they are"
    )
    read: str | None = Field(None, description="folder or hub id of a tokenizer to use instead of training one")

    @model_validator(mode="after")
    def _fits_the_source(self) -> "TokenizerSettings":
        if self.vocabulary == "extend" and (self.algorithm != "same" or self.lowercase):
            raise RecipeError("An extended tokenizer is cut as the source's is: leave tokenizer.algorithm and tokenizer.lowercase out.")
        return self
