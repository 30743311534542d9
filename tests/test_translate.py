"""A model that was made to know a cipher translates it; one with random rows does not."""

import gzip
import json
import lzma
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import BERT, World, sentences
from small_runs import go
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from lingraft.errors import LingraftWarning, ModelError, RunError, TextError
from lingraft.evaluate.bleu import bleu, cut
from lingraft.translation import tidied, translate

Call = Callable[..., tuple[int, str, str]]


def words_of(lines: list[str]) -> list[str]:
    """Words of which none is the cipher of another."""
    found = sorted({word for line in lines for word in line.split() if word.isalpha()})
    ciphers = {World.encipher(word) for word in found}
    return [word for word in found if word not in ciphers]


def tokenizer_of(words: list[str]) -> PreTrainedTokenizerFast:
    """A token for each word, and one for each word's cipher."""
    names = [*BERT.values(), *words, *map(World.encipher, words)]
    tokenizer = Tokenizer(models.WordPiece({name: i for i, name in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    pairs = [(name, names.index(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=pairs)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **BERT)


@torch.no_grad()
def knowing(tokenizer: PreTrainedTokenizerFast, num_words: int, folder: Path) -> Path:
    """A BERT whose layers do nothing and whose output rows are what its head makes of the cipher's input rows, both ways."""
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 32}
    model = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), tie_word_embeddings=False, **shape)).eval()
    words, layer = model.bert.embeddings, model.bert.encoder.layer[0]
    for module in (words.position_embeddings, words.token_type_embeddings, layer.attention.output.dense, layer.output.dense):
        for parameter in module.parameters():
            parameter.zero_()
    words.word_embeddings.weight.normal_()
    states = model.cls.predictions.transform(model.bert(torch.arange(len(tokenizer))[:, None]).last_hidden_state)[:, 0]
    first, translation = len(BERT), torch.arange(len(tokenizer))
    translation[first:] = torch.cat([translation[first + num_words :], translation[first : first + num_words]])
    model.cls.predictions.decoder.weight.copy_(torch.empty_like(states).index_copy_(0, translation, states))
    model.cls.predictions.decoder.bias.zero_()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model `knows`, the same with random output rows as `random`, and text: plain.txt, cipher.txt (with a gap)."""
    folder = tmp_path_factory.mktemp("translate")
    lines = sentences(60, seed=1)
    words = words_of(lines)
    tokenizer = tokenizer_of(words)
    knowing(tokenizer, len(words), folder / "knows")
    random = BertForMaskedLM.from_pretrained(folder / "knows")
    torch.nn.init.normal_(random.cls.predictions.decoder.weight)
    random.save_pretrained(folder / "random")
    tokenizer.save_pretrained(folder / "random")
    known = [
        " ".join(word for word, after in zip(w, [*w[1:], ""], strict=True) if word in words and word != after)
        for w in map(str.split, lines)
    ]
    known[3] = ""
    (folder / "plain.txt").write_text("\n".join(known) + "\n")
    (folder / "cipher.txt").write_text("\n".join(map(World.encipher, known)) + "\n")
    return folder


def test_a_model_that_knows_the_cipher_translates_it(place: Path) -> None:
    found = translate(place / "knows", text=place / "plain.txt", reference=place / "cipher.txt", language="de")
    assert found["translations"] == (place / "cipher.txt").read_text().splitlines()
    assert found["translations"][3] == ""
    assert found["lines"] == 60
    assert found["scores"]["bleu_4"] == pytest.approx(100)
    assert found["baseline"]["bleu_1"] < 1
    assert "tok:13a" in found["signature"]


def test_random_rows_translate_nothing(place: Path) -> None:
    found = translate(place / "random", text=place / "plain.txt", reference=place / "cipher.txt", language="de")
    assert found["scores"]["bleu_1"] < 5


def test_compressed_text_is_read_and_written(place: Path, tmp_path: Path) -> None:
    text = (place / "plain.txt").read_bytes()
    (tmp_path / "text.gz").write_bytes(gzip.compress(text))
    (tmp_path / "text.xz").write_bytes(lzma.compress(text))
    for name in ("text.gz", "text.xz"):
        answer = translate(place / "knows", text=tmp_path / name, out=tmp_path / f"{name}-out.gz")
        assert answer["lines"] == 60
        assert gzip.decompress((tmp_path / f"{name}-out.gz").read_bytes()) == (place / "cipher.txt").read_bytes()
    (tmp_path / "latin").write_bytes(b"good\nf\xfcr\n")
    (tmp_path / "empty").touch()
    assert translate(place / "knows", text=tmp_path / "empty", out=tmp_path / "nothing")["lines"] == 0
    assert (tmp_path / "nothing").read_bytes() == b""
    with pytest.raises(TextError, match="line 2 is not valid UTF-8"):
        translate(place / "knows", text=tmp_path / "latin", out=tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_lines_come_in_order_whatever_their_length(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = translate(place / "knows", text=place / "plain.txt")["translations"]
    monkeypatch.setattr("lingraft.translation.MOST", 1)
    monkeypatch.setattr("lingraft.translation.AT_ONCE", 7)
    assert translate(place / "knows", text=place / "plain.txt")["translations"] == whole


def test_lines_that_are_too_long_are_cut_with_a_warning(place: Path, tmp_path: Path) -> None:
    word = (place / "plain.txt").read_text().split()[0]
    other = next(found for found in (place / "plain.txt").read_text().split() if found != word)
    (tmp_path / "long.txt").write_text(" ".join([word, other] * 20) + "\n" + word + "\n")
    with pytest.warns(UserWarning, match="1 lines are longer than the model's 30 tokens"):
        long, short = translate(place / "knows", text=tmp_path / "long.txt")["translations"]
    assert len(long.split()) == 30
    assert short == World.encipher(word)


def test_repetitions_and_specials_are_left_out_and_the_end_token_ends() -> None:
    tokenizer = tokenizer_of(["ab", "cd"])
    ab, cd, end, unknown = tokenizer.convert_tokens_to_ids(["ab", "cd", "[SEP]", "[UNK]"])
    assert tidied([ab, ab, cd, unknown, ab, ab, end, cd], tokenizer) == [ab, cd, ab]
    assert tidied([ab, cd, ab], tokenizer) == [ab, cd, ab]
    assert tidied([end, ab], tokenizer) == []


def test_bleu_counts_what_it_says() -> None:
    assert [cut(code) for code in ("de", "zh", "zh-Hant", "ja", "th")] == ["13a", "zh", "zh", "char", "char"]
    scores = bleu(["a b c x"], ["a b c d"], "en")
    assert [round(scores[f"precision_{n}"], 1) for n in (1, 2, 3)] == [75.0, 66.7, 50.0]
    assert scores["bleu_1"] == pytest.approx(75)
    assert scores["bleu_2"] == pytest.approx(100 * (0.75 * 2 / 3) ** 0.5)
    assert bleu(["你 好"], ["你好"], "zh")["bleu_2"] == pytest.approx(100)
    short = bleu(["a b"], ["a b c d"], "en")
    assert short["bleu_1"] == pytest.approx(100 * np.exp(-1))  # the brevity penalty
    assert short["precision_1"] == 100
    nothing = bleu(["a b c d"], ["w x y z"], "en")
    assert [nothing[f"precision_{n}"] for n in (1, 2, 3, 4)] == [0, 0, 0, 0]


def test_case_counts_only_where_the_tokenizer_keeps_it(place: Path, tmp_path: Path) -> None:
    assert bleu(["the House"], ["The house"], "en")["precision_1"] == 0
    assert bleu(["the House"], ["The house"], "en", lowercase=True)["precision_1"] == 100
    (tmp_path / "right.txt").write_text((place / "cipher.txt").read_text().upper())
    asked = {"text": place / "plain.txt", "reference": tmp_path / "right.txt", "language": "de"}
    folder = tmp_path / "folding"
    shutil.copytree(place / "knows", folder)
    kept = translate(folder, **asked)
    assert "case:mixed" in kept["signature"]
    definition = json.loads((folder / "tokenizer.json").read_text())
    definition["normalizer"] = {"type": "Lowercase"}
    (folder / "tokenizer.json").write_text(json.dumps(definition))
    folded = translate(folder, **asked)
    assert "case:lc" in folded["signature"]
    assert folded["scores"]["bleu_4"] == pytest.approx(100)
    assert kept["scores"]["bleu_4"] < 50


def test_the_command_says_that_it_is_a_probe(place: Path, call: Call, tmp_path: Path) -> None:
    status, out, error = call("translate", place / "knows", "--text", place / "plain.txt")
    assert status == 0
    assert out == (place / "cipher.txt").read_text()
    assert "probe" in error
    assert "not a translator" in error
    asked = ("translate", place / "knows", "--text", place / "plain.txt", "--eval", place / "cipher.txt", "--language", "de")
    status, out, _ = call(*asked, "--json")
    assert json.loads(out)["scores"]["bleu_4"] == pytest.approx(100)
    status, out, _ = call(*asked, "--out", tmp_path / "out.txt")
    assert "100.0" in out
    assert "60 lines in" in out


def test_a_run_with_a_vocabulary_of_one_language_is_no_translator(
    place: Path, pico: Callable[[str], Path], world: World, tmp_path: Path
) -> None:
    run = go(pico("bert"), world, tmp_path / "run", steps=0)
    with pytest.warns(LingraftWarning, match="one language alone"):
        translate(run.path, text=place / "plain.txt")


def test_mistakes_are_said(place: Path, pico: Callable[[str], Path], call: Call, tmp_path: Path) -> None:
    plain = place / "plain.txt"
    (tmp_path / "short.txt").write_text("a\n")
    with pytest.raises(TextError, match="has 1 lines"):
        translate(place / "knows", text=plain, reference=tmp_path / "short.txt", language="de")
    with pytest.raises(RunError, match="--language"):
        translate(place / "knows", text=plain, reference=place / "cipher.txt")
    with pytest.raises(RunError, match="--to-source"):
        translate(place / "knows", text=plain, to_source=True)
    with pytest.raises(RunError, match="no phases"):
        translate(place / "knows", text=plain, phase="main")
    with pytest.raises(ModelError, match="masked"):
        translate(pico("gpt2"), text=plain)
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "recipe.toml").write_text('extends = "trelm"\n')
    (tmp_path / "begun" / "run.json").write_text("{}")
    with pytest.raises(RunError, match="is not finished"):
        translate(tmp_path / "begun", text=plain, phase="to-target")
    status, _, error = call("translate", place / "knows", "--text", tmp_path / "none.txt")
    assert status == 2
    assert "There is no file" in error
