"""Text of a corpus that is not its language's: letters of another script, sentences that look like another language of the corpus.

A model of two languages is only that where each corpus is in its own language (Blevins & Zettlemoyer 2022); the paper did not look.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lingraft.languages import UNKNOWN_SCRIPT, parse
from lingraft.text.clean import letters_of

MOST, SHORTEST, EXAMPLES = 10_000, 20, 5
"""Sentences that are looked at for each language; letters below which a sentence is not judged; sentences that are listed."""
MARGIN = 10.0
"""Nats by which another language must be likelier, so that a name or a loan word decides nothing."""


def script_share(sentences: Sequence[str], code: str) -> float | None:
    """Share of the letters that are of another script than the language's; None where that is not known, or there is no letter."""
    script = parse(code).script
    if script == UNKNOWN_SCRIPT:
        return None
    others, letters = letters_of(script)
    total = sum(len(letters.findall(sentence)) for sentence in sentences)
    return sum(len(others.findall(sentence)) for sentence in sentences) / total if total else None


def foreign_sentences(texts: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
    """For each language, which sentences look like another one of the corpus.

    A naive Bayes classifier over runs of one to three characters, all languages equally likely, is fitted on every second sentence and
    judges the others, and the other way round: no sentence speaks for itself. A sentence counts where another language is likelier
    by MARGIN.

    sentences  that were judged: of at most MOST, those of SHORTEST letters or more
    share      of them that look like another language
    as         language -> how many look like it
    examples   (language, sentence) of the clearest
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    codes = list(texts)
    vectorizer = HashingVectorizer(analyzer="char", ngram_range=(1, 3), n_features=2**18, alternate_sign=False, norm=None)
    judged = {
        code: [line for line in lines[:: -(-len(lines) // MOST) or 1] if sum(map(str.isalpha, line)) >= SHORTEST]
        for code, lines in texts.items()
    }
    halves = [{code: lines[start::2] for code, lines in judged.items()} for start in (0, 1)]
    found: dict[str, list[tuple[float, str, str]]] = {code: [] for code in codes}
    for fitted, other in (halves, halves[::-1]):
        model = _fit(fitted, vectorizer)
        for code, lines in other.items():
            found[code] += _looks_foreign(lines, codes.index(code), codes, vectorizer, model)
    return {code: _summary(found[code], len(judged[code])) for code in codes}


def _fit(texts: Mapping[str, Sequence[str]], vectorizer: Any) -> Any:
    """A classifier whose class i is the i-th language."""
    from sklearn.naive_bayes import MultinomialNB

    model = MultinomialNB(alpha=0.1, fit_prior=False)
    for number, lines in enumerate(texts.values()):
        if lines:
            model.partial_fit(vectorizer.transform(lines), np.full(len(lines), number), classes=np.arange(len(texts)))
    return model


def _looks_foreign(lines: Sequence[str], own: int, codes: Sequence[str], vectorizer: Any, model: Any) -> list[tuple[float, str, str]]:
    """(margin in nats, language, sentence) of the sentences that another language is likelier for."""
    if not lines:
        return []
    likelihood = model.predict_joint_log_proba(vectorizer.transform(lines))  # (num_sentences, num_languages)
    best = likelihood.argmax(axis=1)
    margins = likelihood.max(axis=1) - likelihood[:, own]
    return [(float(margins[i]), codes[best[i]], lines[i]) for i in np.flatnonzero(margins > MARGIN).tolist()]


def _summary(found: Sequence[tuple[float, str, str]], judged: int) -> dict[str, Any]:
    clearest = sorted(found, key=lambda each: (-each[0], each[2]))[:EXAMPLES]
    return {
        "sentences": judged,
        "share": len(found) / judged if judged else None,
        "as": dict(Counter(sorted(code for _, code, _ in found)).most_common()),
        "examples": [[code, sentence] for _, code, sentence in clearest],
    }
