"""The shape of a model that is trained from scratch."""

from pydantic import BaseModel, ConfigDict, Field


class ArchitectureSettings(BaseModel):
    """The shape of a model from scratch (`lingraft pretrain`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: str = Field(
        "bert", description="a model_type of transformers with a language-model head: bert, roberta, electra, gpt2, llama, …"
    )
    layers: int = Field(4, ge=1, description="number of layers")
    width: int = Field(256, ge=2, description="dimensions of the hidden states")
    heads: int = Field(4, ge=1, description="attention heads of a layer")
    intermediate: int | None = Field(None, ge=1, description="dimensions inside a feed-forward part; by default 4 times the width")
    positions: int = Field(512, ge=8, description="longest input, in tokens")
    embedding_width: int | None = Field(
        None, ge=1, description="dimensions of the word rows, where the family can have them narrower (electra)"
    )
    dropout: float | None = Field(None, ge=0, lt=1, description="every dropout of the model; by default the family's")
    read: str | None = Field(None, description="a model's folder or hub id: its shape, instead of the keys above, and nothing else of it")
