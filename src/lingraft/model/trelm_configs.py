"""Configurations of models that meet in the middle (see lingraft.model.trelm), as AutoConfig finds them once lingraft is imported.

Beside what the family has: `lingraft_languages`, codes by number; `lingraft_language_embeddings`; and `lingraft_trilayer`: `at`, the place
in the stack of layers before which states are re-ordered; `layer`, whether the layer there is a TRILayer; `mid_embeddings`.
"""

from importlib import import_module
from typing import Any

from transformers import AutoConfig, BertConfig, PreTrainedConfig, RobertaConfig, XLMConfig, XLMRobertaConfig


class _Registering:
    """The first one that is made registers the classes of models, which are slow to import."""

    def __post_init__(self, **options: Any) -> None:
        import_module("lingraft.model.trelm")
        super().__post_init__(**options)  # type: ignore[misc]


class TrelmBertConfig(_Registering, BertConfig):  # type: ignore[misc]
    """Of BERT."""

    model_type = "trelm-bert"


class TrelmRobertaConfig(_Registering, RobertaConfig):  # type: ignore[misc]
    """Of RoBERTa."""

    model_type = "trelm-roberta"


class TrelmXLMConfig(_Registering, XLMConfig):  # type: ignore[misc]
    """Of XLM."""

    model_type = "trelm-xlm"


class TrelmXLMRobertaConfig(_Registering, XLMRobertaConfig):  # type: ignore[misc]
    """Of XLM-RoBERTa."""

    model_type = "trelm-xlm-roberta"


CONFIGS: dict[type[PreTrainedConfig], type[PreTrainedConfig]] = {
    BertConfig: TrelmBertConfig,
    RobertaConfig: TrelmRobertaConfig,
    XLMConfig: TrelmXLMConfig,
    XLMRobertaConfig: TrelmXLMRobertaConfig,
}
"""Stock configuration -> ours."""

for config in CONFIGS.values():
    AutoConfig.register(config.model_type, config, exist_ok=True)
