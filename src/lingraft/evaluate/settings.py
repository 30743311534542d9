"""What is measured at the end of a run."""

from pydantic import BaseModel, ConfigDict, Field


class EvaluationSettings(BaseModel):
    """Held-out measures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(12345, ge=0, description="seed of the masks: the same for every model that is to be compared")
    mask_rate: float = Field(0.15, gt=0, lt=1, description="share of the tokens, and of the words, that are masked")
    max_characters: int = Field(100_000, ge=100, description="how much of the held-out text is read")
