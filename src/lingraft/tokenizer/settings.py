"""Which tokenizer a run uses."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TokenizerSettings(BaseModel):
    """Train one, read one, or keep the source's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocabulary: Literal["replace", "source"] = Field("replace", description="replace: a tokenizer for the target; source: the source's own")
    algorithm: Literal["same", "wordpiece", "unigram", "bpe"] = Field("same", description="how to train it; same: as the source's")
    size: int = Field(32000, ge=16, description="tokens, specials included")
    lowercase: bool = Field(False, description="fold case")
    read: str | None = Field(None, description="folder or hub id of a tokenizer to use instead of training one")
