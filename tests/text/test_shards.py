"""Shards hold the ids that plain encoding gives, with the right offsets, for every kind of tokenizer."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import transformers as tf
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from lingraft.text import bundled, shards
from lingraft.text.read import Document
from lingraft.text.shards import Shards, encode_to_shards, token_counts
from lingraft.text.words import count_words, sentences

SPECIALS = ["<unk>", "</s>", "[MASK]"]
ODD = [
    "a  b   c", "</s> [MASK] <unk> x</s>y", "x\u00a0y \u3000 z", "e\u0301 \u0301x", "tab\there it's 's ' s", "Ende.  Zwei. Drei",
    "日本語。次の文。「はい。」と 言う。次", "null\0byte \x1e\x1d end", "ﬁn … 'tis", "a ▁b▁ c", "Ġ Ġx", "…", "x" * 300,
]  # fmt: skip


def bert() -> tuple[Tokenizer, trainers.Trainer]:
    fast = Tokenizer(models.WordPiece(unk_token="<unk>"))
    fast.normalizer, fast.pre_tokenizer = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    return fast, trainers.WordPieceTrainer(vocab_size=600, special_tokens=SPECIALS)


def sentencepiece(split: bool = True, scheme: str = "always") -> tuple[Tokenizer, trainers.Trainer]:
    fast = Tokenizer(models.Unigram())
    fast.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
    return fast, trainers.UnigramTrainer(vocab_size=600, special_tokens=SPECIALS, unk_token="<unk>")


def gpt2(prefix: bool = False) -> tuple[Tokenizer, trainers.Trainer]:
    fast = Tokenizer(models.BPE())
    fast.pre_tokenizer, fast.decoder = pre_tokenizers.ByteLevel(add_prefix_space=prefix), decoders.ByteLevel()
    return fast, trainers.BpeTrainer(vocab_size=600, special_tokens=SPECIALS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def llama() -> tuple[Tokenizer, trainers.Trainer]:
    """Spaces are symbols, a mark is put before a text, and nothing is cut before merging."""
    fast = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    fast.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    fast.decoder = decoders.Replace("▁", " ")
    return fast, trainers.BpeTrainer(vocab_size=600, special_tokens=SPECIALS, max_token_length=6)


def greedy() -> tuple[Tokenizer, trainers.Trainer]:
    """Merges across words: cutting at spaces would not be exact."""
    fast = Tokenizer(models.BPE(unk_token="<unk>"))
    fast.pre_tokenizer, fast.decoder = pre_tokenizers.Split("\n", "removed"), decoders.Fuse()
    return fast, trainers.BpeTrainer(vocab_size=600, special_tokens=SPECIALS, max_token_length=6)


KINDS = {
    "bert": (bert, True),
    "xlm-roberta": (sentencepiece, True),
    "first": (lambda: sentencepiece(scheme="first"), True),
    "gpt2": (gpt2, True),
    "prefix": (lambda: gpt2(prefix=True), True),
    "llama": (llama, False),
    "greedy": (greedy, False),
}


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    """Real German and Japanese, and what no one writes."""
    german = itertools.islice(bundled.documents("de"), 60)
    japanese = itertools.islice(bundled.documents("ja"), 15)
    return [*german, *japanese, Document(ODD, 0), Document(["ein"], 1), Document(ODD[::-1], 2)]


@pytest.fixture(scope="module")
def trained(documents: list[Document]) -> dict[str, PreTrainedTokenizerBase]:
    made = {}
    for name, (kind, _) in KINDS.items():
        fast, trainer = kind()
        trainer.show_progress = False
        fast.train_from_iterator((line for document in documents for line in document.lines if line not in ODD), trainer)
        made[name] = PreTrainedTokenizerFast(tokenizer_object=fast, unk_token="<unk>", eos_token="</s>", mask_token="[MASK]")
    return made


def plain_ids(documents: list[Document], tokenizer: PreTrainedTokenizerBase, end_id: int | None) -> list[list[int]]:
    """Each document's ids, one line after the other, by the library alone."""
    fast = shards.plain(tokenizer)
    keeps = "\n" in fast.decode(fast.encode("a\na", add_special_tokens=False).ids)
    found = []
    for document in documents:
        lines = [line.translate(dict.fromkeys([0, 0x1D, 0x1E])) for line in document.lines]
        texts = [line + "\n" if keeps else line for line in lines[:-1]] + lines[-1:]
        ids = [number for text in texts for number in fast.encode(text, add_special_tokens=False).ids]
        found.append(ids + ([] if end_id is None else [end_id]))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [500, 1 << 20])
@pytest.mark.parametrize("end_id", [1, None])
def test_ids_are_those_of_plain_encoding(trained, documents, tmp_path, monkeypatch, kind, chunk, end_id):
    monkeypatch.setattr(shards, "CHUNK", chunk)
    monkeypatch.setattr(shards, "MOST_UNITS", 1000)
    info = encode_to_shards(documents, trained[kind], tmp_path / "shards", end_id=end_id)
    found = Shards.open(tmp_path / "shards")
    expected = plain_ids(documents, trained[kind], end_id)
    assert [found.tokens[a:b].tolist() for a, b in itertools.pairwise(found.documents)] == expected
    assert found.info == info
    assert (info.num_documents, info.num_tokens, info.dtype) == (len(documents), sum(map(len, expected)), "uint16")
    lines = [line.translate(dict.fromkeys([0, 0x1D, 0x1E])) for document in documents for line in document.lines]
    assert info.num_words == sum(map(count_words, lines))
    assert info.num_bytes == sum(len(line.encode()) for line in lines)


@pytest.mark.parametrize("kind", KINDS)
def test_the_fast_path_is_taken_where_it_is_exact(trained, documents, kind):
    encoder = shards._Encoder(trained[kind], None)
    list(encoder.encode(documents))
    assert encoder.cuts is KINDS[kind][1]


@pytest.mark.parametrize("kind", KINDS)
def test_sentences_start_where_they_start(trained, tmp_path, kind):
    lines = ["Eins zwei. Drei vier! Fünf.", "Sechs sieben.", "また明日。はい。", "Acht. Neun"]
    encode_to_shards([Document(lines, 0), Document(lines[::-1], 1)], trained[kind], tmp_path / "shards", end_id=1)
    found = Shards.open(tmp_path / "shards")
    pieces = [piece for line in lines + lines[::-1] for piece in sentences(line)]
    assert found.info.num_sentences == len(pieces) == len(found.sentences) - 1
    assert set(found.documents) <= set(found.sentences)
    if kind in ("gpt2", "prefix"):  # which lose nothing
        texts = [trained[kind].decode(found.tokens[a:b].tolist(), skip_special_tokens=True) for a, b in itertools.pairwise(found.sentences)]
        assert [text.strip() for text in texts] == [piece.strip() for piece in pieces]


@pytest.mark.parametrize("kind", KINDS)
def test_a_special_in_the_text_is_text(trained, tmp_path, kind):
    tokenizer = trained[kind]
    encode_to_shards([Document(["[MASK] </s> </s>x"], 0)], tokenizer, tmp_path / "shards", end_id=None)
    assert not {1, 2} & set(Shards.open(tmp_path / "shards").tokens.tolist())
    assert tokenizer.encode("[MASK]", add_special_tokens=False)[-1] == 2  # the tokenizer itself is as it was


def test_ids_of_added_tokens_survive_hidden_specials():
    tokenizer = tf.GPT2Tokenizer(vocab={letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[])
    tokenizer.add_tokens([AddedToken("<|im|>", special=True), AddedToken("wort", special=False)])
    assert shards.plain(tokenizer).encode("wort").ids == [tokenizer.convert_tokens_to_ids("wort")]
    assert len(shards.plain(tokenizer).encode("<|im|>").ids) == 6


def test_counts(trained, documents, tmp_path):
    encode_to_shards(documents, trained["gpt2"], tmp_path / "shards", end_id=None)
    expected = np.bincount(np.concatenate(plain_ids(documents, trained["gpt2"], None)), minlength=700)
    assert Shards.open(tmp_path / "shards").counts(700).tolist() == expected.tolist()
    assert token_counts(documents, trained["gpt2"], 700).tolist() == expected.tolist()


def test_no_text(trained, tmp_path):
    info = encode_to_shards([], trained["bert"], tmp_path / "shards", end_id=1)
    found = Shards.open(tmp_path / "shards")
    assert (info.num_tokens, len(found.tokens), found.documents.tolist(), found.counts(3).tolist()) == (0, 0, [0], [0, 0, 0])


def test_large_vocabularies_need_wider_ids(tmp_path):
    fast = Tokenizer(models.WordLevel({f"w{i}": i for i in range(70_000)}, unk_token="w0"))
    fast.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=fast, unk_token="w0")
    encode_to_shards([Document(["w69999 w1"], 0)], tokenizer, tmp_path / "shards", end_id=None)
    assert Shards.open(tmp_path / "shards").tokens.tolist() == [69_999, 1]
    assert Shards.open(tmp_path / "shards").tokens.dtype == np.uint32


def test_nothing_is_left_of_an_interrupted_encoding(trained, tmp_path):
    def broken():
        yield Document(["ein Haus"], 0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_to_shards(broken(), trained["bert"], tmp_path / "shards", end_id=None)
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_text(trained, tmp_path):
    trained["bert"].save_pretrained(tmp_path)
    code = f"""
import pathlib, resource, sys
sys.path[:0] = {sys.path!r}
from transformers import PreTrainedTokenizerFast
from lingraft.text import shards
from lingraft.text.read import Document
shards.CHUNK = 1 << 18
def documents(count):
    for number in range(count):
        yield Document([f"{{number * 7919 % 99991}} das Haus {{i}} steht hier. " * 5 for i in range(20)], number)
tokenizer = PreTrainedTokenizerFast.from_pretrained({str(tmp_path)!r})
peaks = []
for count in (100, 2000):  # 300 kB, 6 MB
    shards.encode_to_shards(documents(count), tokenizer, pathlib.Path({str(tmp_path)!r}) / "shards", end_id=None)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(peaks[1] - peaks[0])
"""
    grown = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert grown < 30_000  # kB: the table's own bound; not 20 times the first
