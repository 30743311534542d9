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
    strip_accents: bool | None = Field(
        None,
        description="drop accents and all other marks above and below letters; by default only wordpiece with lowercase does, as BERT's "
        "uncased models. It takes vowels from Hindi, tones from Vietnamese",
    )
    alpha: float = Field(
        1.0, ge=0, le=1, description="of several texts, up-sample the small ones: shares of the lines to this power; 1: as they are"
    )
    read: str | None = Field(None, description="folder or hub id of a tokenizer to use instead of training one")

    @model_validator(mode="after")
    def _fits_the_source(self) -> "TokenizerSettings":
        if self.vocabulary == "extend" and (self.algorithm != "same" or self.lowercase or self.strip_accents is not None):
            names = "tokenizer.algorithm, tokenizer.lowercase and tokenizer.strip_accents"
            raise RecipeError(f"An extended tokenizer is cut as the source's is: leave {names} out.")
        return self
