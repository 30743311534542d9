"""How long the texts of question answering data are: table 5 of Artetxe et al. (2020)."""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lingraft.errors import LanguageError
from lingraft.evaluate.squad import documents, split_range
from lingraft.languages import parse
from lingraft.text.words import word_tokens

SIGNS = re.compile("([\u093c\u094d])")
"""Nukta and virama of Devanagari, which the Moses tokenizer of the paper's time cut off; later ones do not."""
NO_LANGUAGES = ("dev", "gz", "xz", "zst")
MISSING = "lingraft's words, as {0} is not installed (pip install 'lingraft[xquad]')"


def measure(path: Path) -> dict[str, Any]:
    """Mean numbers of tokens of `paragraph`, `question` and `answer` of a file in SQuAD's layout, counts, and what `tokens` are.

    As in the paper, Chinese is cut by jieba and all else by the Moses tokenizer (sacremoses), where these are installed. The language is
    that of the file's name (`xquad.de.json.gz`). The answer is the first one of each question. Raises TextError; see squad.read.
    """
    language = language_of(split_range(path)[0])
    tokens, cut = _cutter(language)
    paragraphs = [paragraph for document in documents(path) for paragraph in document.paragraphs]
    asked = [each for paragraph in paragraphs for each in paragraph.qas]

    def mean(texts: list[str]) -> float:
        return sum(len(cut(text)) for text in texts) / max(len(texts), 1)

    return {
        "file": str(path),
        "language": language,
        "paragraphs": len(paragraphs),
        "questions": len(asked),
        "paragraph": mean([paragraph.context for paragraph in paragraphs]),
        "question": mean([each.question for each in asked]),
        "answer": mean([each.answers[0].text for each in asked]),
        "tokens": tokens,
    }


def language_of(path: Path) -> str:
    """The language that a part of a file's name between dots says, the shortest if several do; "" where none does."""
    found = []
    for part in path.name.split(".")[:-1]:
        with contextlib.suppress(LanguageError):
            found += [parse(part).code] if part not in NO_LANGUAGES else []
    return min(found, key=len, default="")


def _cutter(language: str) -> tuple[str, Callable[[str], list[str]]]:
    """What cuts a language's texts into tokens, in words and as a function."""
    if language.partition("-")[0] == "zh":
        try:
            import jieba
        except ImportError:
            return MISSING.format("jieba"), word_tokens
        jieba.setLogLevel(60)
        return "jieba for Chinese", jieba.lcut
    try:
        from sacremoses import MosesTokenizer
    except ImportError:
        return MISSING.format("sacremoses"), word_tokens
    moses = MosesTokenizer(lang="en" if language in ("", "hi") else language)  # the Moses of the paper's time had no Hindi
    return "the Moses tokenizer (sacremoses)", lambda text: moses.tokenize(SIGNS.sub(r" \1 ", text), escape=False)
