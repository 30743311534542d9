"""Models that meet in the middle (TreLM, section 3.1), as transformers' auto classes find them once lingraft is imported.

They are the stock models with three additions: language embeddings; states that are re-ordered between the halves, from the order of the
input to that of the target; and there, where there is one, one more layer, the TRILayer. Inputs beside the stock ones, all of them optional:

alignment        (batch, target_length) for each place of the target the place of the input whose state it gets, -1: the placeholder's
target_mask      (batch, target_length) 1 at places of the target, 0 at what fills up
languages        (batch, length) number of the input's language: 0 the source's, 1 the target's
target_language  (batch, target_length) that of the target

Without alignment the order stays. What else is left out is the input's own where the target is as long; else all places count, and the
language is that of the input's first token. Inputs are in language 1 where nothing is said.
"""

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForPreTraining,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions
from transformers.models.bert import modeling_bert
from transformers.models.roberta import modeling_roberta
from transformers.models.xlm_roberta import modeling_xlm_roberta

from lingraft.model.trelm_configs import CONFIGS

TARGET = 1  # number of the target's language
FAMILIES = {"Bert": modeling_bert, "Roberta": modeling_roberta, "XLMRoberta": modeling_xlm_roberta}
HEADS: dict[str, tuple[Any, ...]] = {
    "Model": (AutoModel,),
    "ForMaskedLM": (AutoModelForMaskedLM, AutoModelForPreTraining),
    "ForPreTraining": (AutoModelForPreTraining,),
    "ForTokenClassification": (AutoModelForTokenClassification,),
    "ForSequenceClassification": (AutoModelForSequenceClassification,),
    "ForQuestionAnswering": (AutoModelForQuestionAnswering,),
    "ForMultipleChoice": (AutoModelForMultipleChoice,),
}
"""How names of classes end -> the auto classes that find them."""
CLASSES: dict[type, type] = {}
"""Stock class of a model -> ours."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """What happens between the halves. order: (batch, target_length). added: (…, target_length, dim) or 0. masks: the upper half's, as its
    attention takes it; none: the lower half's."""

    order: torch.Tensor
    added: torch.Tensor | float
    masks: tuple[torch.Tensor | None, ...]

    def reorder(self, states: torch.Tensor, placeholder: torch.Tensor) -> torch.Tensor:
        """States (batch, length, dim) in the target's order, (batch, target_length, dim). placeholder: (1, dim)."""
        rows, length, dim = states.shape
        choices = torch.cat([states, placeholder.to(states.dtype).expand(rows, 1, dim)], dim=1)
        places = torch.where(self.order < 0, length, self.order)
        return choices.gather(1, places.unsqueeze(-1).expand(-1, -1, dim)) + self.added


class Encoder:
    """A stack of layers with a meeting in it; mixed into the family's own."""

    def forward(
        self: Any, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, *, meeting: Meeting, **options: Any
    ) -> BaseModelOutputWithPastAndCrossAttentions:  # fmt: skip
        """Last states, (batch, target_length, dim)."""
        for name in ("encoder_hidden_states", "encoder_attention_mask", "past_key_values", "use_cache", "position_ids"):
            options.pop(name, None)  # a decoder's
        for number, layer in enumerate(self.layer):
            if number == self.config.lingraft_trilayer["at"]:
                hidden_states = meeting.reorder(hidden_states, self.placeholder.weight)
                attention_mask = meeting.masks[0] if meeting.masks else attention_mask
            hidden_states = layer(hidden_states, attention_mask, **options)
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=hidden_states)


class Body:
    """The base model; mixed into the family's own."""

    def forward(
        self: Any,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        *,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        languages: torch.Tensor | None = None,
        alignment: torch.Tensor | None = None,
        target_mask: torch.Tensor | None = None,
        target_language: torch.Tensor | None = None,
        **more: Any,
    ) -> Any:
        """What the stock model gives, in the target's order. Equations of section 3.1: E_inp = E_wrd + E_seg + E_pos + E_lng; before the
        upper half, H = Reorder(H) + E_lng of the target + E_pos."""
        words = self.embeddings.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        rows, length = words.shape[:2]
        table, spoken = self.embeddings.position_embeddings, getattr(self.embeddings, "language_embeddings", None)
        if languages is None:
            languages = words.new_full((rows, length), TARGET, dtype=torch.long)
        order = torch.arange(length, device=words.device).expand(rows, length) if alignment is None else alignment
        is_as_long = order.shape[1] == length
        if target_mask is None and not is_as_long:
            target_mask = torch.ones_like(order)
        is_placed = position_ids is not None
        if position_ids is None:
            position_ids = counted(table, torch.ones_like(languages) if input_ids is None else input_ids.ne(table.padding_idx or 0))
        positions = position_ids if is_as_long and (is_placed or target_mask is None) else counted(table, target_mask)
        added: torch.Tensor | float = table(positions) if self.config.lingraft_trilayer["mid_embeddings"] else 0.0
        if spoken is not None:
            words = words + spoken(languages)
            if target_language is None:
                target_language = languages if is_as_long else languages[:, :1].expand_as(order)
            added = added + spoken(target_language) if isinstance(added, torch.Tensor) else added
        likeness = words.new_empty((*order.shape, 1))
        masks = () if target_mask is None else (create_bidirectional_mask(self.config, likeness, target_mask),)
        meeting = Meeting(order, added, masks)
        return super().forward(  # type: ignore[misc]
            inputs_embeds=words, attention_mask=attention_mask, position_ids=position_ids, meeting=meeting, **more
        )


def counted(table: nn.Embedding, real: torch.Tensor | None) -> torch.Tensor:
    """Rows of the position table, (1 or batch, length), where `real` (batch, length) is true; with a padding row they follow it."""
    assert real is not None
    if table.padding_idx is None:
        return torch.arange(real.shape[1], device=real.device).unsqueeze(0)
    return real.long().cumsum(1) * real.long() + table.padding_idx


@functools.cache
def mixed(mixin: type, stock: type) -> type:
    """A stock class with a mixin before it."""
    return type(f"Trelm{stock.__name__}", (mixin, stock), {"__module__": __name__})


def grow(model: Any) -> None:
    """Give a model whose config has them its additions, in place, with weights that are yet to be set."""
    base, config = model.base_model, model.config
    base.__class__ = CLASSES.get(type(base), type(base))
    base.encoder.__class__ = mixed(Encoder, type(base.encoder))
    base.encoder.placeholder = nn.Embedding(1, config.hidden_size)
    if config.lingraft_language_embeddings:
        base.embeddings.language_embeddings = nn.Embedding(len(config.lingraft_languages), config.hidden_size)


def _made(stock: type, config: type) -> type:
    """Our class of a stock one."""
    parents = (Body, stock) if stock.__name__.endswith("Model") else (stock,)

    def __init__(self: Any, config: Any, *arguments: Any, **options: Any) -> None:
        stock.__init__(self, config, *arguments, **options)  # type: ignore[misc]
        grow(self)

    return type(f"Trelm{stock.__name__}", parents, {"__init__": __init__, "config_class": config, "__module__": __name__})


def _register() -> None:
    for (stock_config, config), (family, module) in zip(CONFIGS.items(), FAMILIES.items(), strict=True):
        assert stock_config.__name__ == f"{family}Config"
        for ending, autos in HEADS.items():
            stock = getattr(module, family + ending, None)
            if stock is not None:
                CLASSES[stock] = _made(stock, config)
                for auto in autos:
                    auto.register(config, CLASSES[stock], exist_ok=True)


_register()


def class_of(name: str) -> type | None:
    """Our class of this name; None where there is none."""
    return next((made for made in CLASSES.values() if made.__name__ == name), None)
