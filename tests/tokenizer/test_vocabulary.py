"""One spelling, roles, unused rows and overlap, over the families."""

import numpy as np
import pytest
import transformers as tf
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from lingraft.tokenizer import vocabulary
from lingraft.tongues import masking

BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
UNKNOWN = {"unk_token": "[UNK]"}


def numbered(*tokens: str) -> dict[str, int]:
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}


def wordpiece(*tokens: str, lowercase: bool = False) -> PreTrainedTokenizerBase:
    fast = Tokenizer(models.WordPiece(numbered("[UNK]", "[MASK]", *tokens), unk_token="[UNK]"))
    fast.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return PreTrainedTokenizerFast(tokenizer_object=fast, unk_token="[UNK]", mask_token="[MASK]")


def byte_level(*tokens: str) -> PreTrainedTokenizerBase:
    fast = Tokenizer(models.BPE(numbered("<s>", "[MASK]", *BYTES, *tokens), []))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=fast, bos_token="<s>", mask_token="[MASK]")


def unigram(*tokens: str) -> PreTrainedTokenizerBase:
    fast = Tokenizer(models.Unigram([(token, -1.0) for token in ("<unk>", "[MASK]", *tokens)], unk_id=0, byte_fallback=False))
    fast.pre_tokenizer = pre_tokenizers.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=fast, unk_token="<unk>", mask_token="[MASK]")


def spelled(tokenizer: PreTrainedTokenizerBase, *tokens: str) -> list[str]:
    texts = vocabulary.spelling(tokenizer)
    return [texts[tokenizer.get_vocab()[token]] for token in tokens]


def shared(source: PreTrainedTokenizerBase, target: PreTrainedTokenizerBase) -> dict[str, str]:
    """Target token -> source token."""
    old, new = vocabulary.tokens(source), vocabulary.tokens(target)
    return {new[i]: old[number] for i, number in enumerate(vocabulary.overlap(source, target)) if number >= 0}


def test_one_spelling_for_three_families():
    one = spelled(wordpiece("haus", "##haus", "schön", "##", "##ä"), "haus", "##haus", "schön", "##", "##ä")
    assert one == ["▁haus", "haus", "▁schön", "▁##", "ä"]
    assert spelled(byte_level("Ġhaus", "haus", "ĠschÃ¶n"), "Ġhaus", "haus", "ĠschÃ¶n") == ["▁haus", "haus", "▁schön"]
    assert spelled(unigram("▁haus", "haus", "▁schön"), "▁haus", "haus", "▁schön") == ["▁haus", "haus", "▁schön"]


def test_spaces_and_bytes_stay_distinct():
    tokenizer = byte_level("ĠĠ", "âĢ", "Ġâ", "Ċ")
    assert spelled(tokenizer, "Ġ", "ĠĠ", "âĢ", "Ġâ", "Ċ") == ["▁", "▁ ", "<0xE2><0x80>", "▁<0xE2>", "\n"]
    assert spelled(unigram("▁", "▁▁", "▁a▁"), "▁", "▁▁", "▁a▁") == ["▁", "▁ ", "▁a "]
    assert len(set(vocabulary.spelling(tokenizer))) == len(tokenizer)


def test_specials_and_missing_ids_are_spelled_as_they_are():
    tokenizer = tf.BertTokenizer(vocab={"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "a": 7})
    assert vocabulary.spelling(tokenizer) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "", "", "▁a"]
    assert vocabulary.unused(tokenizer, 10).tolist() == [5, 6, 8, 9]


def test_end_marked_bpe():
    fast = Tokenizer(models.BPE(numbered("<unk>", "a", "a</w>", "</w>"), [], unk_token="<unk>", end_of_word_suffix="</w>"))
    assert vocabulary.spelling(PreTrainedTokenizerFast(tokenizer_object=fast, unk_token="<unk>")) == ["<unk>", "a", "▁a", "</w>"]


def test_one_token_may_hold_several_roles():
    tokenizer = byte_level()
    tokenizer.eos_token = "<s>"
    assert vocabulary.roles(tokenizer) == {"begin": 0, "end": 0, "mask": 1}
    assert vocabulary.blocks(tokenizer) == ([], [])


def test_the_template_decides_between_two_candidates():
    vocab = numbered("<s>", "</s>", "[UNK]", "[CLS]", "a")
    fast = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    from tokenizers.processors import TemplateProcessing

    fast.post_processor = TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=fast, bos_token="<s>", eos_token="</s>", cls_token="[CLS]", unk_token="[UNK]")
    assert vocabulary.roles(tokenizer) == {"begin": 0, "end": 1, "unknown": 2}
    assert vocabulary.blocks(tokenizer) == ([0], [1])


def test_padding_kept_in_a_file_is_no_template():
    tokenizer = tf.BertTokenizer(vocab=numbered("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"))
    tokenizer._tokenizer.enable_padding(length=128, pad_id=0, pad_token="[PAD]")
    assert vocabulary.blocks(tokenizer) == ([2], [3])


@pytest.mark.parametrize(
    "name", ["[unused7]", "<unused12>", "<extra_id_0>", "<|reserved_special_token_3|>", "madeupword0001", "<special4>"]
)
def test_placeholders_are_unused(name):
    tokenizer = wordpiece(name, "special", "unused", "[", "haus")
    assert vocabulary.unused(tokenizer, len(tokenizer)).tolist() == [2]


def test_specials_without_role_are_unused_and_rows_beyond_the_tokenizer():
    tokenizer = byte_level()
    tokenizer.add_tokens([AddedToken("<|im_start|>", special=True), AddedToken("word", special=False)])
    size = len(tokenizer)
    assert vocabulary.unused(tokenizer, size + 2).tolist() == [size - 2, size, size + 1]


def test_overlap_is_by_spelling_across_families():
    source = byte_level("Ġhaus", "haus", "ĠschÃ¶n", "Ġ,")
    assert shared(source, wordpiece("haus", "##haus", "schön", "##schön", "tor")) == {"haus": "Ġhaus", "##haus": "haus", "schön": "ĠschÃ¶n"}
    assert shared(source, unigram("▁haus", "haus", "▁", "schön")) == {"▁haus": "Ġhaus", "haus": "haus", "▁": "Ġ"}


def test_overlap_of_symbols_ignores_the_marker_where_it_must():
    source = wordpiece(",", "##-", "haus", "7", "##ि")
    assert shared(source, unigram(",", "▁,", "-", "▁-", "7", "▁7", "haus", "▁", "▁ि")) == {
        ",": ",", "▁,": ",", "-": "##-", "▁-": "##-", "▁7": "7",
    }  # fmt: skip
    assert shared(byte_level("Ġ,"), unigram(",", "▁,")) == {",": ",", "▁,": "Ġ,"}  # the right marker first


def test_overlap_folds_case_only_where_the_source_does():
    target = wordpiece("Haus", "haus", "##AUS")
    assert shared(wordpiece("haus", "##aus", lowercase=True), target) == {"Haus": "haus", "haus": "haus", "##AUS": "##aus"}
    assert shared(wordpiece("haus", "##aus"), target) == {"haus": "haus"}


def test_overlap_leaves_specials_and_unused_rows_out():
    assert shared(wordpiece("[unused0]", "a"), wordpiece("[unused0]", "a")) == {"a": "a"}


def test_overlap_does_not_depend_on_the_order_of_the_vocabulary():
    tokens = ["haus", "##haus", ",", "##,", "-", "##-", "tor", "7"]
    target = unigram("▁haus", "haus", ",", "▁-", "▁tor", "▁7")
    expected = shared(wordpiece(*tokens), target)
    for seed in range(5):
        assert shared(wordpiece(*np.random.default_rng(seed).permutation(tokens).tolist()), target) == expected


def test_where_words_begin_for_masking():
    tokens = {"▁": True, "▁ein": True, "es": False, "日本": True, "語": True, "ー": True}
    made = unigram(*tokens)
    starts = masking(made, "mlm").starts
    assert {token: bool(starts[made.get_vocab()[token]]) for token in tokens} == tokens


def test_a_token_of_several_roles_is_the_sources_end():
    source, target = unigram("<s>", "</s>", "a"), byte_level("a")
    source.add_special_tokens({"bos_token": "<s>", "eos_token": "</s>"})
    target.add_special_tokens({"bos_token": "<s>", "eos_token": "<s>", "unk_token": "<s>"})
    known, own = source.get_vocab(), target.get_vocab()
    assert vocabulary.shared_roles(source, target) == {own["<s>"]: known["</s>"], own["[MASK]"]: known["[MASK]"]}
    assert vocabulary.stacked_ids(source, target)[own["<s>"]] == known["</s>"]
