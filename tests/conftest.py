"""Two worlds that keep tests fast and honest: pico models of every family, and a cipher world in which right answers are known."""

import os
import sys

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from lingraft.files import write_text

torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()

PLAIN = "abcdefghijklmnopqrstuvwxyz"
CIPHER = "qwertzuiopasdfghjklyxcvbnm"
BERT = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
ROBERTA = {
    "cls_token": "<s>",
    "bos_token": "<s>",
    "sep_token": "</s>",
    "eos_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}
WIDTH = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
DECODER = {**WIDTH, "num_key_value_heads": 1, "head_dim": 16}


@dataclass(frozen=True)
class World:
    """Text of a made language, and the same text in a cipher of its letters; the two as parallel text; a dictionary of their words."""

    plain: Path
    cipher: Path
    parallel: Path
    lexicon: Path

    @staticmethod
    def encipher(text: str) -> str:
        """Plain letters to cipher letters."""
        return text.translate(str.maketrans(PLAIN, CIPHER))


def sentences(count: int, seed: int) -> list[str]:
    """Sentences of words whose frequencies fall by Zipf's law; each word is usually followed by one of a few others."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(2, 8, size=300)
    words = ["".join(generator.choice(list(PLAIN), size=length)) for length in lengths]
    weights = 1 / np.arange(1, len(words) + 1)
    return [" ".join(generator.choice(words, size=generator.integers(5, 14), p=weights / weights.sum())) + " ." for _ in range(count)]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A cipher world: 60 documents of 20 sentences."""
    return make_world(tmp_path_factory.mktemp("world"), sentences(1200, seed=7), 20)


def make_world(folder: Path, lines: list[str], length: int) -> World:
    """A cipher world of these sentences, in documents of `length`."""
    plain = "\n\n".join("\n".join(lines[start : start + length]) for start in range(0, len(lines), length)) + "\n"
    (folder / "plain.txt").write_text(plain)
    (folder / "cipher.txt").write_text(World.encipher(plain))
    (folder / "parallel.tsv").write_text("".join(f"{line}\t{World.encipher(line)}\n" for line in lines))
    words = sorted({word for line in lines for word in line.split()})
    (folder / "lexicon.tsv").write_text("".join(f"{word}\t{World.encipher(word)}\n" for word in words))
    return World(*(folder / name for name in ("plain.txt", "cipher.txt", "parallel.tsv", "lexicon.tsv")))


def train_tokenizer(algorithm: str, text: Path, specials: dict[str, str], template: str | None, size: int = 400) -> PreTrainedTokenizerFast:
    """A small tokenizer of one family, independent of lingraft's own training."""
    names = list(dict.fromkeys(specials.values()))
    unknown = specials.get("unk_token")
    if algorithm == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token=unknown))
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=names, show_progress=False)
    elif algorithm == "bpe":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size, special_tokens=names, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
        )
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=names, unk_token=unknown, show_progress=False)
    tokenizer.train([str(text)], trainer)
    if template:
        pairs = [(name, tokenizer.token_to_id(name)) for name in dict.fromkeys(template.split()) if name != "$A"]
        tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=pairs)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **specials)


FAMILIES: dict[str, tuple[str, dict[str, str], str | None, Callable[[int], transformers.PreTrainedConfig], str]] = {
    "bert": ("wordpiece", BERT, "[CLS] $A [SEP]", lambda v: transformers.BertConfig(vocab_size=v, **WIDTH), "BertForMaskedLM"),
    "roberta": ("bpe", ROBERTA, "<s> $A </s>", lambda v: transformers.RobertaConfig(vocab_size=v, max_position_embeddings=66, **WIDTH), "RobertaForMaskedLM"),
    "xlm-roberta": ("unigram", ROBERTA, "<s> $A </s>", lambda v: transformers.XLMRobertaConfig(vocab_size=v, max_position_embeddings=66, **WIDTH), "XLMRobertaForMaskedLM"),
    "xlm": ("wordpiece", ROBERTA, "<s> $A </s>", lambda v: transformers.XLMConfig(vocab_size=v, emb_dim=32, n_layers=2, n_heads=2, max_position_embeddings=64), "XLMWithLMHeadModel"),
    "distilbert": ("wordpiece", BERT, "[CLS] $A [SEP]", lambda v: transformers.DistilBertConfig(vocab_size=v, dim=32, n_layers=2, n_heads=2, hidden_dim=48), "DistilBertForMaskedLM"),
    "electra": ("wordpiece", BERT, "[CLS] $A [SEP]", lambda v: transformers.ElectraConfig(vocab_size=v, embedding_size=16, **WIDTH), "ElectraForMaskedLM"),
    "modernbert": ("bpe", BERT, "[CLS] $A [SEP]", lambda v: transformers.ModernBertConfig(vocab_size=v, **WIDTH), "ModernBertForMaskedLM"),
    "gpt2": ("bpe", {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}, None, lambda v: transformers.GPT2Config(vocab_size=v, n_embd=32, n_layer=2, n_head=2, n_positions=64), "GPT2LMHeadModel"),
    "opt": ("bpe", {"bos_token": "</s>", "eos_token": "</s>", "pad_token": "<pad>"}, "</s> $A", lambda v: transformers.OPTConfig(vocab_size=v, word_embed_proj_dim=16, ffn_dim=48, max_position_embeddings=64, **{k: w for k, w in WIDTH.items() if k != "intermediate_size"}), "OPTForCausalLM"),
    "llama": ("unigram", {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}, "<s> $A", lambda v: transformers.LlamaConfig(vocab_size=v, tie_word_embeddings=False, **DECODER), "LlamaForCausalLM"),
    "qwen2": ("bpe", {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}, None, lambda v: transformers.Qwen2Config(vocab_size=v, tie_word_embeddings=True, **{k: w for k, w in DECODER.items() if k != "head_dim"}), "Qwen2ForCausalLM"),
    "gemma2": ("unigram", {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>"}, "<bos> $A", lambda v: transformers.Gemma2Config(vocab_size=v, **DECODER), "Gemma2ForCausalLM"),
}  # fmt: skip
PADDED_ROWS = 5


def build(family: str, text: Path, folder: Path) -> Path:
    """Save a pico model of `family` with random weights, its matrix padded by a few rows, and its tokenizer."""
    algorithm, specials, template, config_of, architecture = FAMILIES[family]
    tokenizer = train_tokenizer(algorithm, text, specials, template)
    config = config_of(len(tokenizer) + PADDED_ROWS)
    ids = {"pad": tokenizer.pad_token_id, "bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id}
    ids |= {"cls": tokenizer.cls_token_id, "sep": tokenizer.sep_token_id} if family == "modernbert" else {}
    for name, value in ids.items():
        setattr(config, f"{name}_token_id", value)
    if family == "xlm":
        config.pad_index = tokenizer.pad_token_id
    torch.manual_seed(0)
    model = getattr(transformers, architecture)(config)
    for parameter in model.parameters():
        if parameter.ndim == 1 and len(parameter) == config.vocab_size:
            torch.nn.init.normal_(parameter)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pico(world: World, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a pico model by family, built once per session."""
    built: dict[str, Path] = {}

    def get(family: str) -> Path:
        if family not in built:
            built[family] = build(family, world.plain, tmp_path_factory.mktemp(family))
        return built[family]

    return get


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: (exit status, stdout, stderr)."""

    from lingraft import cli

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lingraft", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr("warnings.showwarning", None)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def short_report() -> Iterator[None]:
    """Most of a pico run's time would go into its pictures, which have tests of their own."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lingraft.stages.write_report", lambda runs: write_text(runs[0] / "report.html", "short"))
        yield
