"""Training over all algorithms and families: roles, template, what comes back from disk, the same bytes."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from tokenizer_sources import FAMILIES, SOURCES, bert, gpt2
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from lingraft.errors import TokenizerError
from lingraft.text import bundled
from lingraft.tokenizer import train as tokenizers
from lingraft.tokenizer import vocabulary
from lingraft.tokenizer.prepare import prepare
from lingraft.tokenizer.settings import TokenizerSettings

ALGORITHMS = ("wordpiece", "unigram", "bpe")


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """Real German text, some 100 kB."""
    found = (line for document in bundled.documents("de") for line in document.lines)
    return [line for line, _ in zip(found, range(1200), strict=False)]


@pytest.fixture(scope="module")
def trained(lines: list[str]) -> dict[tuple[str, str], PreTrainedTokenizerBase]:
    """A tokenizer of each algorithm for each source."""
    made = {}
    for source in SOURCES:
        for algorithm in ALGORITHMS:
            made[source.__name__, algorithm] = tokenizers.train(lines, TokenizerSettings(algorithm=algorithm, size=700), source())
    return made


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_specials_keep_role_and_template(trained, lines, source, algorithm):
    old, new = source(), trained[source.__name__, algorithm]
    assert len(new) == 700

    def named(tokenizer, ids):
        return tokenizer.convert_ids_to_tokens(list(ids))

    old_roles, new_roles = vocabulary.roles(old), vocabulary.roles(new)
    assert list(new_roles) == list(old_roles)
    assert named(new, new_roles.values()) == named(old, old_roles.values())
    for num_texts in (1, 2):
        around = [
            [(text, tokenizer.convert_ids_to_tokens(number) if text is None else "", segment) for text, number, segment in rows]
            for tokenizer in (old, new)
            if (rows := vocabulary.frame(tokenizer, num_texts))
        ]
        around = [[row for i, row in enumerate(rows) if row not in rows[:i] or row[0] is None] for rows in around]
        assert around[0] == around[1]
    assert (new.padding_side, new.model_max_length) == (old.padding_side, old.model_max_length)
    assert list(new("ab")) == list(old("ab"))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_text_comes_back(trained, lines, source, algorithm):
    tokenizer = trained[source.__name__, algorithm]
    known = [
        line for line in lines[:200] if "unknown" not in vocabulary.roles(tokenizer) or tokenizer.unk_token not in tokenizer.tokenize(line)
    ]
    assert len(known) > 150
    assert [tokenizer.decode(ids, skip_special_tokens=True) for ids in tokenizer(known)["input_ids"]] == known


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_same_ids_beside_a_model_of_the_family(trained, lines, tmp_path, family, algorithm):
    source, config = FAMILIES[family]
    tokenizer = trained[source.__name__, algorithm]
    if family == "qwen2" and algorithm != "bpe":  # transformers insists on its own class there
        with pytest.raises(TokenizerError, match=r"'qwen2'.*bpe"):
            tokenizers.check_family(tokenizer, config())
        return
    tokenizers.check_family(tokenizer, config())
    config().save_pretrained(tmp_path)
    tokenizers.save(tokenizer, tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded(lines[:100], lines[100:200])["input_ids"] == tokenizer(lines[:100], lines[100:200])["input_ids"]
    assert vocabulary.roles(loaded) == vocabulary.roles(tokenizer)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["tokenizer_class"] in ("PreTrainedTokenizerFast", "Qwen2Tokenizer")


def definitions(lines: list[str]) -> list[str]:
    """What training gives, for each algorithm, down to the last byte."""
    settings = (TokenizerSettings(algorithm=algorithm, size=700) for algorithm in ALGORITHMS)
    return [tokenizers.train(lines, setting, bert())._tokenizer.to_str() for setting in settings]


def test_same_text_same_bytes(lines):
    assert definitions(lines) == definitions(lines)  # the library seeds every hash table anew


def test_same_text_same_bytes_in_another_process_with_other_threads(lines, tmp_path):
    (tmp_path / "text").write_text("\n".join(lines), encoding="utf-8")
    code = f"""
import pathlib, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, *{sys.path!r}]
from test_train import definitions
sys.stdout.buffer.write("\\0".join(definitions(pathlib.Path({str(tmp_path / "text")!r}).read_text("utf-8").split("\\n"))).encode())
"""
    environment = {"PYTHONHASHSEED": "5", "TOKENIZERS_PARALLELISM": "true", "RAYON_NUM_THREADS": "3"}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True).stdout
    assert out.decode().split("\0") == definitions(lines)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_fewer_tokens_than_asked_is_a_warning_with_the_number(algorithm):
    with pytest.warns(UserWarning, match=r"The text yields [\d,]+ tokens, fewer than the 5,000") as found:
        made = tokenizers.train(["ein Haus und noch ein Haus"] * 9, TokenizerSettings(algorithm=algorithm, size=5000), bert())
    assert f"{len(made):,} tokens" in str(found[0].message)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_specials_and_alphabet_must_fit(lines, algorithm):
    with pytest.raises(TokenizerError, match=r"50 has no room .* \d+ tokens"):
        tokenizers.train(lines, TokenizerSettings(algorithm=algorithm, size=50), bert())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_text(algorithm):
    with pytest.raises(TokenizerError, match="no text"):
        tokenizers.train([], TokenizerSettings(algorithm=algorithm), bert())


def test_rare_characters_are_unknown_and_counted_the_same_everywhere(lines):
    han = "".join(chr(0x4E00 + i) for i in range(600))
    text = [*lines, *(han[i : i + 100] for i in range(0, 600, 100)), *(han[:50] for _ in range(3))]
    for algorithm in ("wordpiece", "unigram"):
        made = tokenizers.train(text, TokenizerSettings(algorithm=algorithm, size=800), bert())
        assert made.unk_token_id not in made(han[:50])["input_ids"]  # 4 times each
        assert made.unk_token_id in made(han[-1])["input_ids"]  # once


def test_case_and_accents(lines):
    cased = tokenizers.train(lines, TokenizerSettings(algorithm="wordpiece", size=700), bert())
    assert cased.decode(cased("Größe ändern", add_special_tokens=False)["input_ids"]) == "Größe ändern"
    assert not vocabulary.lowers_case(cased)
    for algorithm, expected in (("wordpiece", "große andern"), ("unigram", "größe ändern"), ("bpe", "größe ändern")):
        lower = tokenizers.train(lines, TokenizerSettings(algorithm=algorithm, size=700, lowercase=True), bert())
        assert lower.decode(lower("Größe ändern", add_special_tokens=False)["input_ids"]) == expected
        assert vocabulary.lowers_case(lower)
        for stripped, spelled in ((True, "große andern"), (False, "größe ändern")):
            settings = TokenizerSettings(algorithm=algorithm, size=700, lowercase=True, strip_accents=stripped)
            made = tokenizers.train(lines, settings, bert())
            assert made.decode(made("Größe ändern", add_special_tokens=False)["input_ids"]) == spelled


def test_long_words_are_no_unknowns(trained):
    tokenizer = trained["bert", "wordpiece"]
    assert tokenizer.unk_token_id not in tokenizer("haus" * 200)["input_ids"]


def test_same_is_the_algorithm_of_the_source():
    found = [tokenizers.algorithm_of(source()) for source in SOURCES]
    assert found == ["wordpiece", "bpe", "unigram", "bpe", "bpe", "bpe", "bpe"]


def test_an_unknown_token_is_not_invented(lines):
    source = gpt2()
    source.unk_token = None
    with pytest.raises(TokenizerError, match=r"needs an unknown token.*bpe"):
        tokenizers.train(lines, TokenizerSettings(algorithm="unigram", size=700), source)


def test_prepare_and_read(trained, tmp_path):
    source = bert()
    assert prepare([], TokenizerSettings(vocabulary="source"), source) is source
    made = trained["bert", "wordpiece"]
    tokenizers.save(made, tmp_path)
    for place in (tmp_path, tmp_path / "tokenizer.json"):
        read = prepare([], TokenizerSettings(read=str(place)), source)
        assert read("ein Haus")["input_ids"] == made("ein Haus")["input_ids"]
        assert vocabulary.roles(read) == vocabulary.roles(made)
    (tmp_path / "text.json").write_text("{}")
    for place in (tmp_path / "missing", tmp_path / "text.json"):
        with pytest.raises(TokenizerError, match="No tokenizer could be read"):
            tokenizers.read(place)


def test_reads_a_bare_sentencepiece_model(lines, tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece")
    pytest.importorskip("google.protobuf")
    for kind in ("unigram", "bpe"):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_prefix=str(tmp_path / kind), vocab_size=500, model_type=kind, minloglevel=2,
            hard_vocab_limit=False, normalization_rule_name="identity",
        )  # fmt: skip
        expected = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / f"{kind}.model"))
        read = tokenizers.read(tmp_path / f"{kind}.model")
        assert read(lines[:100], add_special_tokens=False)["input_ids"] == expected.encode(lines[:100])
        assert list(vocabulary.roles(read)) == ["begin", "end", "unknown"]


def test_importing_does_not_import_torch():
    code = "import sys, lingraft.tokenizer.train, lingraft.tokenizer.measure, lingraft.text.shards; sys.exit('torch' in sys.modules)"
    with warnings.catch_warnings():
        assert subprocess.run([sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"], check=False).returncode == 0
