"""The special tokens of a model from scratch, where no source says which."""

from tokenizers import Tokenizer, models, processors
from transformers import PreTrainedTokenizerFast

ROBERTA = {"bos": "<s>", "cls": "<s>", "pad": "<pad>", "eos": "</s>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
STYLES = {
    "mlm": ({"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}, "[CLS] $A [SEP]", "$B:1 [SEP]:1"),
    "roberta": (ROBERTA, "<s> $A </s>", "</s> $B </s>"),
    "clm": ({"unk": "<unk>", "bos": "<s>", "eos": "</s>"}, "<s> $A", "$B"),
}
"""Name -> specials in the order of their ids, by the role that transformers gives them; what stands around a text, and around a second."""


def blank(kind: str, family: str, longest: int) -> PreTrainedTokenizerFast:
    """A tokenizer with nothing but special tokens: BERT's, RoBERTa's for its kind, or a decoder's. longest: tokens of an input."""
    named, single, second = STYLES["roberta" if kind == "mlm" and "roberta" in family else kind]
    strings = list(dict.fromkeys(named.values()))
    tokenizer = Tokenizer(models.WordLevel({string: number for number, string in enumerate(strings)}, unk_token=named["unk"]))
    ids = [(string, number) for number, string in enumerate(strings)]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=f"{single} {second}", special_tokens=ids)
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=longest,
        model_input_names=inputs if "[CLS]" in strings else [name for name in inputs if name != "token_type_ids"],
        clean_up_tokenization_spaces=False,
        **{f"{role}_token": string for role, string in named.items()},
    )
