from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from lingraft.text.read import Document
from lingraft.tokenizer.measure import measure


def tokenizer(*tokens: str) -> PreTrainedTokenizerBase:
    fast = Tokenizer(models.WordPiece({token: i for i, token in enumerate(["[UNK]", *tokens])}, unk_token="[UNK]"))
    fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return PreTrainedTokenizerFast(tokenizer_object=fast, unk_token="[UNK]")


def test_measures_by_hand():
    documents = [Document(["ab é", "zz ab"], 0), Document(["a"], 1)]  # 5 words; a ##b é | [UNK] a ##b | a; 5 + 5 + 1 bytes
    found = measure(tokenizer("a", "##b", "é", "never"), iter(documents), tokenizer("a", "b", "é"))
    assert found == {
        "size": 5, "words": 5, "tokens": 7, "fertility": 7 / 5, "bytes_per_token": 11 / 7,
        "unknown_rate": 1 / 7, "used": 4 / 5, "overlap": 2 / 5,
    }  # fmt: skip


def test_no_text_has_no_rates():
    found = measure(tokenizer("a"), [])
    assert (found["tokens"], found["fertility"], found["overlap"]) == (0, None, None)
