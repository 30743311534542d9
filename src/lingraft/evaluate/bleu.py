"""BLEU of translations, as sacrebleu computes it."""

from collections.abc import Sequence

from lingraft.languages import parse
from lingraft.text.words import word_kind

LONGEST = 4  # words of an n-gram


def cut(language: str) -> str:
    """How sacrebleu cuts text into words: WMT's way; Chinese into its characters, other scripts without spaces into all characters.

    Raises LanguageError where the code does not exist.
    """
    if word_kind(language) == "whitespace":
        return "13a"
    return "zh" if parse(language).script in ("Hans", "Hant", "Hani") else "char"


def bleu(found: Sequence[str], right: Sequence[str], language: str, *, lowercase: bool = False) -> dict[str, float]:
    """From 0 to 100: `bleu_1` … `bleu_4`, of n-grams up to that length with the brevity penalty, and `precision_1` … `precision_4`, the
    shares of the n-grams of one length that the references have, not smoothed. bleu_4 is what is called BLEU.

    found, right: translations and references, line by line. lowercase: case does not count, for a tokenizer that folds it. TreLM's table 6
    says BLEU-1/2/3/4, but its NMT rows look like precisions, as sacrebleu prints them: as such, they make the BLEU (35 and 23) that NMT
    reaches there.
    """
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(tokenize=cut(language), lowercase=lowercase)
    told = metric.corpus_score(list(found), [list(right)])
    values = {
        f"bleu_{n}": BLEU.compute_bleu(
            told.counts[:n], told.totals[:n], told.sys_len, told.ref_len, smooth_method="exp", max_ngram_order=n
        ).score
        for n in range(1, LONGEST + 1)
    }
    shares = zip(told.counts, told.totals, strict=True)
    return values | {f"precision_{n}": 100 * count / max(1, total) for n, (count, total) in enumerate(shares, 1)}


def signature(language: str, *, lowercase: bool = False) -> str:
    """What sacrebleu asks to be published beside its numbers."""
    import sacrebleu

    return f"nrefs:1|case:{'lc' if lowercase else 'mixed'}|eff:no|tok:{cut(language)}|smooth:exp|version:{sacrebleu.__version__}"
