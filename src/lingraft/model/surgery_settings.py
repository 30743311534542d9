"""What a recipe builds into the source beside new rows."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SurgerySettings(BaseModel):
    """What is built into the source beside new rows, before any training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bare_begin: bool = Field(
        False, description="the first token, [CLS] or <s>, has neither position nor segment embedding, from here on (Artetxe et al. 2020)"
    )
    adapters: Literal["none", "bottleneck", "lora", "invertible", "linear", "vectors"] = Field(
        "none",
        description="bottleneck: after the attention and the feed-forward of each layer (Houlsby et al. 2019); lora: on queries and values "
        "(Hu et al. 2022; needs the extra `lora`); invertible: after the feed-forward, and around the embeddings (Pfeiffer et al. 2020); "
        "linear: a linear map of the last layer's states; vectors: one of these states beside skip-gram vectors of the "
        "tokens, those of both languages in one space (Mulcaire et al. 2019)",
    )
    adapter_width: int = Field(64, ge=1, description="width of a bottleneck, and of vectors; rank of lora")
    trilayer: bool = Field(
        False, description="one more layer between the halves, before which states are put into the target's order (TreLM)"
    )
    language_embeddings: bool = Field(
        False, description="the input tells its language: 0 the source's, 1 the target's; states are re-ordered between the halves (TreLM)"
    )
    mid_embeddings: bool = Field(
        True, description="positions and the target's language are added again where states are re-ordered; false: nothing is"
    )

    @property
    def meets(self) -> bool:
        """Whether states are re-ordered between the halves."""
        return self.trilayer or self.language_embeddings

    def additions(self) -> dict[str, bool]:
        """What is added for that, as `lingraft.model.trilayer` calls it."""
        return {"trilayer": self.trilayer, "language_embeddings": self.language_embeddings}
