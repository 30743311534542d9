"""A tokenizer for the target language that keeps the meaning the source model gives to its specials."""

import json
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from lingraft.errors import LingraftWarning, TokenizerError
from lingraft.tokenizer import vocabulary
from lingraft.tokenizer.settings import TokenizerSettings
from lingraft.tokenizer.training_text import TrainingText, some

if TYPE_CHECKING:
    from transformers import PreTrainedConfig  # imports torch

Algorithm = Literal["wordpiece", "unigram", "bpe"]
NAMES = [name for names in vocabulary.ROLES.values() for name in names]
LONGEST_WORD = 1000  # characters of a word that WordPiece still cuts; the library's 100 makes whole phrases of Thai unknown


def train(lines: Iterable[str], settings: TokenizerSettings, source: PreTrainedTokenizerBase) -> PreTrainedTokenizerFast:
    """Train on `lines` (read once, constant memory but for the distinct words) a tokenizer with the source's specials.

    The strings, roles and template (what stands before and after one text or two) of the specials are the source's, and they come first,
    in its order; so are the longest input, the padding side and the names of the inputs. Of the source's other specials (chat marks,
    reserved ones) none is kept. The same lines give the same vocabulary and scores, in any process and on any number of threads.
    WordPiece and Unigram drop characters seen once, and the rarest beyond settings.alphabet (by default a quarter of the size, or 256):
    they are unknown to the result.

    Raises TokenizerError where there is no text, where the specials and the alphabet do not fit the size, and where the algorithm needs
    an unknown token that the source does not have. Warns, with the number, where the text yields fewer tokens than asked.
    """
    algorithm = algorithm_of(source) if settings.algorithm == "same" else settings.algorithm
    specials = _specials(source)
    tokenizer = _TRAINERS[algorithm](some(lines), settings, source, list(specials.values()))
    tokenizer.add_special_tokens(list(specials.values()))
    tokenizer.post_processor = _template(tokenizer, source)
    if (size := tokenizer.get_vocab_size()) < settings.size:
        warnings.warn(f"The text yields {size:,} tokens, fewer than the {settings.size:,} asked for.", LingraftWarning, stacklevel=2)
    return as_transformers(tokenizer, source, {name: specials[str(held)] for name in NAMES if (held := getattr(source, name)) is not None})


def as_transformers(tokenizer: Tokenizer, source: PreTrainedTokenizerBase, named: dict[str, Any]) -> PreTrainedTokenizerFast:
    """A transformers tokenizer with the source's longest input, sides and names of inputs, and the specials `named` (cls_token: …)."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=source.model_max_length,
        padding_side=source.padding_side,
        truncation_side=source.truncation_side,
        model_input_names=source.model_input_names,
        clean_up_tokenization_spaces=False,
        **named,
    )


def algorithm_of(tokenizer: PreTrainedTokenizerBase) -> Algorithm:
    """The algorithm that "same" means: every kind of BPE (byte-level, SentencePiece's as in Llama 2 and Gemma, XLM's) becomes byte-level
    BPE, since merges stay merges and no text is lost; the one spelling still matches its tokens with the source's."""
    model = vocabulary.backend(tokenizer).get("model", {"type": "BPE"})
    # Old files have no type in them.
    kind = model.get("type") or ("WordPiece" if "continuing_subword_prefix" in model else "Unigram" if "unk_id" in model else "BPE")
    return {"WordPiece": "wordpiece", "WordLevel": "wordpiece", "Unigram": "unigram"}.get(kind, "bpe")  # type: ignore[return-value]


def _specials(source: PreTrainedTokenizerBase) -> dict[str, AddedToken]:
    """The source's specials that hold a role or stand in its template, by string, in the order of its ids."""
    ids = {getattr(source, f"{name}_id") for name in NAMES} | {token for text, token, _ in vocabulary.frame(source, 2) if text is None}
    known = source.added_tokens_decoder
    kept = {}
    for number in sorted(ids - {None}):
        string = source.convert_ids_to_tokens(number)
        old = known.get(number, AddedToken(string))
        kept[string] = AddedToken(string, lstrip=old.lstrip, rstrip=old.rstrip, single_word=old.single_word, normalized=False, special=True)
    return kept


def _template(tokenizer: Tokenizer, source: PreTrainedTokenizerBase) -> Any:
    """The post-processor that puts the new ids of the source's specials where the source puts its own (and trims byte-level offsets)."""
    used: set[str] = set()

    def written(num_texts: int) -> list[str]:
        pieces: list[str] = []
        for text, token, segment in vocabulary.frame(source, num_texts):
            string = f"${'AB'[text]}" if text is not None else source.convert_ids_to_tokens(token)
            used.update([string] if text is None else [])
            if text is None or f"{string}:{segment}" not in pieces:  # a text may be several tokens
                pieces.append(f"{string}:{segment}")
        return pieces

    single, pair = written(1), written(2)
    ids = [(string, tokenizer.token_to_id(string)) for string in sorted(used)]
    template = processors.TemplateProcessing(single=single, pair=pair, special_tokens=ids)
    return processors.Sequence([processors.ByteLevel(), template]) if isinstance(tokenizer.model, models.BPE) else template


def _wordpiece(lines: Iterator[str], settings: TokenizerSettings, source: PreTrainedTokenizerBase, specials: list[AddedToken]) -> Tokenizer:
    unknown, lowercase = _unknown(source, "WordPiece"), bool(settings.lowercase)
    stripped = lowercase if settings.strip_accents is None else settings.strip_accents
    tokenizer = Tokenizer(models.WordPiece(unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=stripped)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    with TrainingText(lines, settings.size, settings.alphabet) as text:
        # The trainer numbers the "##x" it meets in the random order of its hash table, and ties between merges follow the numbers: so
        # they are numbered for it, as if they were specials, which they cease to be when the vocabulary moves to a fresh tokenizer.
        alphabet = text.alphabet(tokenizer.normalizer)
        pieces = [f"##{letter}" for letter in alphabet if _continues(letter, tokenizer)]
        _check_room(len(specials) + len(pieces) + len(alphabet), settings)
        trainer = trainers.WordPieceTrainer(
            vocab_size=settings.size, min_frequency=2, special_tokens=[*specials, *pieces], show_progress=False
        )
        trained = _copy(tokenizer)
        trained.train_from_iterator(text, trainer)
    tokenizer.model = models.WordPiece(trained.get_vocab(False), unk_token=unknown, max_input_chars_per_word=LONGEST_WORD)
    return tokenizer


def _continues(letter: str, tokenizer: Tokenizer) -> bool:
    """Whether the letter can stand inside a word: punctuation and Han characters are words of their own."""
    return len(tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(f"a{letter}"))) == 1


def _unigram(lines: Iterator[str], settings: TokenizerSettings, source: PreTrainedTokenizerBase, specials: list[AddedToken]) -> Tokenizer:
    unknown = _unknown(source, "Unigram")
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(_folding(settings))
    # As SentencePiece: runs of white space are one space, and every line begins with a word.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    with TrainingText(lines, settings.size, settings.alphabet) as text:
        _check_room(len(specials) + len(text.alphabet(tokenizer.normalizer)) + 1, settings)
        size = settings.size - len(specials) + 1  # of the specials, the trainer knows the unknown one
        trainer = trainers.UnigramTrainer(vocab_size=size, unk_token=unknown, special_tokens=[unknown], show_progress=False)
        trained = _copy(tokenizer)
        trained.train_from_iterator(text, trainer)
    pieces = json.loads(trained.to_str())["model"]["vocab"]
    strings = [special.content for special in specials]
    scored = [(string, 0.0) for string in strings] + _settled([(piece, score) for piece, score in pieces if piece not in strings])
    tokenizer.model = models.Unigram(scored, unk_id=strings.index(unknown), byte_fallback=False)
    return tokenizer


def _settled(pieces: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Pieces with the trainer's noise taken out of their log-probabilities, likeliest first.

    Summed in random order, they differ by some 1e-11 from run to run: three decimals are kept. Characters that the trainer had pruned
    come back in random order, each 1e-4 above the last, from the lowest score on: they all get the lowest.
    """
    floor = min(score for _, score in pieces)
    band = floor + 1e-4 * sum(len(piece) == 1 for piece, _ in pieces)
    settled = [(piece, round(floor if len(piece) == 1 and score <= band else score, 3)) for piece, score in pieces]
    return sorted(settled, key=lambda pair: (-pair[1], pair[0]))


def _bpe(lines: Iterator[str], settings: TokenizerSettings, source: PreTrainedTokenizerBase, specials: list[AddedToken]) -> Tokenizer:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    _check_room(len(specials) + len(alphabet), settings)
    tokenizer = Tokenizer(models.BPE())
    definition = vocabulary.backend(source)
    if definition and vocabulary.is_byte_level(definition):
        old = source._tokenizer
        tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = old.normalizer, old.pre_tokenizer, old.decoder
    else:  # in these sources a word at the start of a line is spelled as any other; decoding takes the added space away again
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    if folding := _folding(settings):
        tokenizer.normalizer = normalizers.Sequence([*filter(None, [tokenizer.normalizer]), *folding])
    trainer = trainers.BpeTrainer(
        vocab_size=settings.size, min_frequency=2, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


_TRAINERS = {"wordpiece": _wordpiece, "unigram": _unigram, "bpe": _bpe}


def _folding(settings: TokenizerSettings) -> list[Any]:
    """What is done to case and accents."""
    stripping = [normalizers.NFD(), normalizers.StripAccents(), normalizers.NFC()] if settings.strip_accents else []
    return [*stripping, *([normalizers.Lowercase()] if settings.lowercase else [])]


def _unknown(source: PreTrainedTokenizerBase, algorithm: str) -> str:
    if source.unk_token is None:
        raise TokenizerError(f"{algorithm} needs an unknown token and the source tokenizer has none. Use algorithm bpe, which needs none.")
    return str(source.unk_token)


def _check_room(needed: int, settings: TokenizerSettings) -> None:
    if needed > settings.size:
        raise TokenizerError(
            f"A vocabulary of {settings.size:,} has no room for specials and alphabet, {needed:,} tokens. Ask for more (tokenizer.size)."
        )


def _copy(tokenizer: Tokenizer) -> Tokenizer:
    return Tokenizer.from_str(tokenizer.to_str())


def read(path: str | Path) -> PreTrainedTokenizerBase:
    """A tokenizer from a folder, a hub id, or a bare tokenizer.json or SentencePiece .model file. No code of its own is run.

    Raises TokenizerError where transformers cannot make a tokenizer of it.
    """
    from transformers import AutoTokenizer  # imports torch

    try:
        if not Path(path).is_file():
            return AutoTokenizer.from_pretrained(str(path), trust_remote_code=False)
        if Path(path).suffix == ".json":
            return _with_roles(PreTrainedTokenizerFast(tokenizer_file=str(path)))
        return _with_roles(_sentencepiece(Path(path)))
    except Exception as error:  # transformers, tokenizers and the hub each raise their own, down to plain Exception
        raise TokenizerError(
            f"No tokenizer could be read from {str(path)!r}: {error}\n"
            "Give a folder with tokenizer files, a hub id, a tokenizer.json or a SentencePiece .model."
        ) from error


def _sentencepiece(path: Path) -> PreTrainedTokenizerBase:
    """A bare SentencePiece model. transformers converts its pieces, but forgets the space that it puts before a text."""
    import sentencepiece  # transformers needs it for the conversion too

    tokenizer = PreTrainedTokenizerFast(**PreTrainedTokenizerFast.convert_to_native_format(vocab_file=str(path)))
    first = sentencepiece.SentencePieceProcessor(model_file=str(path)).encode("a", out_type=str)[0]
    if first.startswith(vocabulary.WORD):
        fast = tokenizer._tokenizer
        fast.pre_tokenizer = pre_tokenizers.Metaspace()
        fast.decoder = decoders.Sequence([fast.decoder, decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return tokenizer


def _with_roles(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Bare files do not say which special is which: the usual strings do."""
    usual = {"cls_token": ["[CLS]"], "sep_token": ["[SEP]"], "bos_token": ["<s>", "<bos>"], "eos_token": ["</s>", "<eos>", "<|endoftext|>"]}
    usual |= {name: [f"[{name[:-6].upper()}]", f"<{name[:-6]}>"] for name in ("unk_token", "pad_token", "mask_token")}
    known = tokenizer.get_vocab()
    found = {name: string for name, strings in usual.items() for string in strings[::-1] if string in known}
    tokenizer.add_special_tokens({name: string for name, string in found.items() if getattr(tokenizer, name) is None})
    return tokenizer


def save(tokenizer: PreTrainedTokenizerBase, folder: str | Path) -> None:
    """Save a tokenizer so that transformers 4 and 5 both load it as it is, whatever the model family of a config.json beside it."""
    tokenizer.save_pretrained(folder)
    path = Path(folder) / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if config.get("tokenizer_class") == "TokenizersBackend":  # version 5's name for the class; it knows the old one too
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
        path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def check_family(tokenizer: PreTrainedTokenizerBase, config: "PreTrainedConfig") -> None:
    """Raise TokenizerError where transformers would load this tokenizer as another one beside a model with this configuration.

    It keeps a list of families whose tokenizers it always rebuilds as their own class (Qwen 2 is one: only byte-level BPE, cut in its way).
    """
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        save(tokenizer, folder)
        try:
            loaded = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            same = _essence(loaded) == _essence(tokenizer)
        except Exception:  # the foreign class may choke on the vocabulary in its own way
            same = False
    if not same:
        raise TokenizerError(
            f"transformers rebuilds every tokenizer beside a {config.model_type!r} model as that family's own class, and this one does not "
            "survive it. Use algorithm bpe, cased."
        )


def _essence(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """What decides a tokenizer's ids, with one spelling for what is not set."""
    definition: dict[str, Any] = json.loads(tokenizer._tokenizer.to_str()) | {"truncation": None, "padding": None}
    definition["model"] = {key: value for key, value in definition["model"].items() if value}
    return definition
