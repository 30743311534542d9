"""Small tokenizers of the families, as their own classes make them."""

import transformers as tf
from tokenizers import pre_tokenizers
from transformers import PreTrainedTokenizerBase

LETTERS = "abcdefghijklmnopqrstuvwxyz"
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
FALLBACK = [f"<0x{byte:02X}>" for byte in range(256)]


def numbered(*tokens: str) -> dict[str, int]:
    return {token: number for number, token in enumerate(tokens)}


def bert() -> PreTrainedTokenizerBase:
    vocab = numbered("[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ",", *LETTERS, *(f"##{letter}" for letter in LETTERS))
    return tf.BertTokenizer(vocab=vocab, do_lower_case=True, model_max_length=77)


def roberta() -> PreTrainedTokenizerBase:
    return tf.RobertaTokenizer(vocab=numbered("<s>", "<pad>", "</s>", "<unk>", "<mask>", *BYTES), merges=[])


def xlm_roberta() -> PreTrainedTokenizerBase:
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((letter, -3.0) for letter in LETTERS)]
    return tf.XLMRobertaTokenizer(vocab=[*pieces, ("<mask>", 0.0)])


def gpt2() -> PreTrainedTokenizerBase:
    return tf.GPT2Tokenizer(vocab=numbered("<|endoftext|>", *BYTES), merges=[])


def llama() -> PreTrainedTokenizerBase:
    return tf.LlamaTokenizer(vocab=numbered("<unk>", "<s>", "</s>", *FALLBACK, "▁", *LETTERS), merges=[], add_bos_token=True)


def qwen() -> PreTrainedTokenizerBase:
    return tf.Qwen2Tokenizer(vocab=numbered("<|endoftext|>", *BYTES), merges=[])


def gemma() -> PreTrainedTokenizerBase:
    vocab = numbered("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<unused0>", *FALLBACK, "▁", *LETTERS)
    return tf.GemmaTokenizer(vocab=vocab, merges=[], add_bos_token=True)


FAMILIES = {
    "bert": (bert, tf.BertConfig),
    "distilbert": (bert, tf.DistilBertConfig),
    "electra": (bert, tf.ElectraConfig),
    "modernbert": (roberta, tf.ModernBertConfig),
    "roberta": (roberta, tf.RobertaConfig),
    "xlm-roberta": (xlm_roberta, tf.XLMRobertaConfig),
    "xlm": (xlm_roberta, tf.XLMConfig),
    "gpt2": (gpt2, tf.GPT2Config),
    "llama": (llama, tf.LlamaConfig),
    "qwen2": (qwen, tf.Qwen2Config),
    "qwen3": (qwen, tf.Qwen3Config),
    "gemma": (gemma, tf.GemmaConfig),
    "gemma2": (gemma, tf.Gemma2Config),
    "gemma3": (gemma, tf.Gemma3TextConfig),
}
SOURCES = (bert, roberta, xlm_roberta, gpt2, llama, qwen, gemma)
