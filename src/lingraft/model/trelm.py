"""Models that meet in the middle (TreLM, section 3.1), as transformers' auto classes find them once lingraft is imported.

They are the stock models with three additions: language embeddings; states that are re-ordered between the halves, from the order of the
input to that of the target; and there, where there is one, one more layer, the TRILayer. Inputs beside the stock ones, all optional:

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
    PreTrainedModel,
)
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_outputs import BaseModelOutput, BaseModelOutputWithPastAndCrossAttentions
from transformers.models.bert import modeling_bert
from transformers.models.roberta import modeling_roberta
from transformers.models.xlm import modeling_xlm
from transformers.models.xlm_roberta import modeling_xlm_roberta

from lingraft.model.parts import position_tables
from lingraft.model.trelm_configs import CONFIGS

SOURCE, TARGET = 0, 1  # numbers of the languages
INPUTS = ("languages", "alignment", "target_mask", "target_language")
FAMILIES = {"Bert": modeling_bert, "Roberta": modeling_roberta, "XLM": modeling_xlm, "XLMRoberta": modeling_xlm_roberta}
HEADS: dict[str, tuple[Any, ...]] = {
    "Model": (AutoModel,),
    "ForMaskedLM": (AutoModelForMaskedLM, AutoModelForPreTraining),
    "WithLMHeadModel": (AutoModelForMaskedLM, AutoModelForPreTraining),
    "ForPreTraining": (AutoModelForPreTraining,),
    "ForTokenClassification": (AutoModelForTokenClassification,),
    "ForSequenceClassification": (AutoModelForSequenceClassification,),
    "ForQuestionAnswering": (AutoModelForQuestionAnswering,),
    "ForQuestionAnsweringSimple": (AutoModelForQuestionAnswering,),
    "ForMultipleChoice": (AutoModelForMultipleChoice,),
}
"""How names of classes end -> the auto classes that find them."""
CLASSES: dict[type, type] = {}
"""Stock class of a model -> ours."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """What the input is, and what happens between the halves.

    words, positions: (batch, length, dim) word rows with the language's added, and (1 or batch, length) rows of the position table.
    order: (batch, target_length). added: (…, target_length, dim), None: nothing. target_mask: (batch, target_length), None: the input's.
    placeholder: (1, dim).
    """

    words: torch.Tensor
    positions: torch.Tensor
    order: torch.Tensor
    added: torch.Tensor | None
    target_mask: torch.Tensor | None
    placeholder: torch.Tensor

    def reorder(self, states: torch.Tensor) -> torch.Tensor:
        """States (batch, length, dim) in the target's order, (batch, target_length, dim)."""
        rows, length, dim = states.shape
        choices = torch.cat([states, self.placeholder.to(states.dtype).expand(rows, 1, dim)], dim=1)
        places = torch.where(self.order < 0, length, self.order)
        found = choices.gather(1, places.unsqueeze(-1).expand(-1, -1, dim))
        return found if self.added is None else found + self.added


def meet(
    base: Any,
    words: torch.Tensor,
    real: torch.Tensor | None,
    position_ids: torch.Tensor | None,
    languages: torch.Tensor | None = None,
    alignment: torch.Tensor | None = None,
    target_mask: torch.Tensor | None = None,
    target_language: torch.Tensor | None = None,
) -> Meeting:
    """The meeting of a base model, with what is left out put in (section 3.1: E_inp = E_wrd + E_seg + E_pos + E_lng; before the upper half
    H + E_lng of the target + E_pos). words: (batch, length, dim). real: (batch, length) where the input is no padding; None: everywhere."""
    rows, length = words.shape[:2]
    table, spoken = position_tables(base)[0], next(iter(language_tables(base)), None)
    order = torch.arange(length, device=words.device).expand(rows, length) if alignment is None else alignment
    is_as_long = order.shape[1] == length
    if target_mask is None and not is_as_long:
        target_mask = torch.ones_like(order)
    languages = words.new_full((rows, length), TARGET, dtype=torch.long) if languages is None else languages
    if target_language is None:
        target_language = languages if is_as_long else languages[:, :1].expand_as(order)
    positions = counted(table, torch.ones_like(languages) if real is None else real) if position_ids is None else position_ids
    keeps = is_as_long and (position_ids is not None or target_mask is None)
    added = None
    if base.config.lingraft_trilayer["mid_embeddings"]:
        added = table(positions if keeps else counted(table, order if target_mask is None else target_mask))
        added = added if spoken is None else added + spoken(target_language)
    words = words if spoken is None else words + spoken(languages)
    return Meeting(words, positions, order, added, target_mask, base.placeholder["weight"])


def told_language(model: Any, ids: torch.Tensor, is_source: bool) -> dict[str, torch.Tensor]:
    """The input `languages` (batch, length) for texts of the source's language, where a model is told it; else nothing needs saying."""
    return {"languages": torch.full_like(ids, SOURCE)} if is_source and language_tables(model) else {}


def counted(table: nn.Embedding, real: torch.Tensor) -> torch.Tensor:
    """Rows of the position table, (1 or batch, length), where `real` (batch, length) is true; with a padding row they follow it."""
    if table.padding_idx is None:
        return torch.arange(real.shape[1], device=real.device).unsqueeze(0)
    return real.long().cumsum(1) * real.long() + table.padding_idx


def speak(model: Any, code: str) -> None:
    """Make a language the one that inputs are in where nothing is said, in place: its number and row, and those of the one that was it."""
    codes = list(getattr(model.config, "lingraft_languages", None) or [])
    if code in codes and codes[TARGET] != code:
        order = list(range(len(codes)))
        order[TARGET], order[codes.index(code)] = codes.index(code), TARGET
        for table in language_tables(model.base_model):
            table.weight.data = table.weight.data[order].clone()
        model.config.lingraft_languages = [codes[place] for place in order]


def language_tables(base: Any) -> list[nn.Embedding]:
    """The table of languages, if there is one."""
    return [module for name, module in base.named_modules() if name.endswith("language_embeddings")]


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
                hidden_states = meeting.reorder(hidden_states)
                if meeting.target_mask is not None:
                    attention_mask = create_bidirectional_mask(self.config, hidden_states, meeting.target_mask)
            hidden_states = layer(hidden_states, attention_mask, **options)
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=hidden_states)


class Body:
    """The base model of BERT and its kind; mixed into the family's own."""

    def forward(
        self: Any,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **more: Any,
    ) -> Any:
        """What the stock model gives, in the target's order."""
        words = self.embeddings.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        padding = self.embeddings.position_embeddings.padding_idx
        real = None if input_ids is None or padding is None else input_ids != padding
        meeting = meet(self, words, real, position_ids, **{name: more.pop(name, None) for name in INPUTS})
        return super().forward(  # type: ignore[misc]
            inputs_embeds=meeting.words, attention_mask=attention_mask, position_ids=meeting.positions, meeting=meeting, **more
        )


class XLMBody:
    """XLM's base model, which holds its layers' parts in lists of their own."""

    def forward(
        self: Any,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        langs: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        lengths: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **more: Any,
    ) -> Any:
        """What the stock model gives, in the target's order."""
        words = self.embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        meeting = meet(self, words, None, position_ids, **{name: more.pop(name, None) for name in INPUTS})
        mask = attention_mask
        if mask is None:
            pads = torch.zeros_like(words[..., 0]) if input_ids is None else input_ids == self.pad_index
            ends = (~pads.bool()).sum(1) if lengths is None else lengths
            mask = torch.arange(words.shape[1], device=words.device) < ends.unsqueeze(1)
        states = meeting.words + self.position_embeddings(meeting.positions)
        if langs is not None and self.use_lang_emb and self.n_langs > 1:
            states = states + self.lang_embeddings(langs)
        if token_type_ids is not None:
            states = states + self.embeddings(token_type_ids)
        states = self._dropped(self.layer_norm_emb(states)) * mask.unsqueeze(-1).to(words.dtype)
        seen = [states]
        for number in range(self.n_layers):
            if number == self.config.lingraft_trilayer["at"]:
                mask = mask if meeting.target_mask is None else meeting.target_mask
                states = meeting.reorder(states) * mask.unsqueeze(-1).to(words.dtype)
            states = self.layer_norm1[number](states + self._dropped(self.attentions[number](states, mask)[0]))
            states = self.layer_norm2[number](states + self.ffns[number](states)) * mask.unsqueeze(-1).to(words.dtype)
            seen.append(states)
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        found = BaseModelOutput(last_hidden_state=states, hidden_states=tuple(seen) if wanted else None)
        return found if (self.config.return_dict if return_dict is None else return_dict) else found.to_tuple()

    def _dropped(self: Any, states: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(states, p=self.dropout, training=self.training)


@functools.cache
def mixed(mixin: type, stock: Any) -> type:
    """A stock class with a mixin before it."""
    return type(f"Trelm{stock.__name__}", (mixin, stock), {"__module__": __name__})


def grow(model: Any) -> None:
    """Give a model whose config has them its additions, in place, with weights that are yet to be set."""
    base, config = model.base_model, model.config
    if kind := CLASSES.get(type(base)):
        base.__class__ = kind
        PreTrainedModel.__init__(object.__new__(kind), config)  # where transformers notes whose states a class can give
    base.placeholder = nn.ParameterDict({"weight": nn.Parameter(torch.zeros(1, config.hidden_size))})
    if hasattr(base, "encoder"):
        stack: Any = type(base.encoder)
        base.encoder.__class__ = mixed(Encoder, stack)
    if config.lingraft_language_embeddings:
        block = base.embeddings if hasattr(base, "encoder") else base
        block.language_embeddings = nn.Embedding(len(config.lingraft_languages), config.hidden_size)


def _made(stock: type, config: type, mixin: type | None) -> type:
    """Our class of a stock one."""

    def start(self: Any, config: Any, *arguments: Any, **options: Any) -> None:
        stock.__init__(self, config, *arguments, **options)  # type: ignore[misc]
        grow(self)

    parents = (stock,) if mixin is None else (mixin, stock)
    return type(f"Trelm{stock.__name__}", parents, {"__init__": start, "config_class": config, "__module__": __name__})


def _register() -> None:
    for stock_config, config in CONFIGS.items():
        family = stock_config.__name__.removesuffix("Config")
        for ending, autos in HEADS.items():
            stock = getattr(FAMILIES[family], family + ending, None)
            if stock is not None:
                body = XLMBody if family == "XLM" else Body
                CLASSES[stock] = _made(stock, config, body if ending == "Model" else None)
                for auto in autos:
                    auto.register(config, CLASSES[stock], exist_ok=True)


_register()


def class_of(name: str) -> Any:
    """Our class of this name; None where there is none."""
    return next((made for made in CLASSES.values() if made.__name__ == name), None)
