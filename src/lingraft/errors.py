"""What a user can do wrong, as one family of exceptions.

LingraftError                 caught by the command line: message on stderr, exit status 2
├── TextError                 text that is missing, empty, binary, badly encoded, too short
├── LanguageError             a language code that does not exist
├── TokenizerError            a vocabulary that cannot be trained or read
├── ModelError                a checkpoint that cannot be loaded or grafted
├── RecipeError               an unknown recipe, key or value
├── RunError                  a run folder that is busy, damaged or of another run
├── TrainingError             a loss that is not a number
├── MissingExtra              an optional package that is not installed
└── Interrupted               SIGINT or SIGTERM; the same command goes on (exit status 130)
"""

import difflib
from collections.abc import Iterable


class LingraftError(Exception):
    """A mistake of the user's or of their machine: says what, why, and what to do. Exit status 2."""


class TextError(LingraftError):
    """Text that is missing, empty, binary, badly encoded or too short."""


class LanguageError(LingraftError):
    """A language code that does not exist."""


class TokenizerError(LingraftError):
    """A vocabulary that cannot be trained or read."""


class ModelError(LingraftError):
    """A checkpoint that cannot be loaded or grafted."""


class RecipeError(LingraftError):
    """An unknown recipe, key or value."""


class RunError(LingraftError):
    """A run folder that is busy, damaged, or belongs to another run."""


class TrainingError(LingraftError):
    """A loss that is not a number."""


class MissingExtra(LingraftError):
    """An optional package that is not installed."""


class Interrupted(LingraftError):
    """SIGINT or SIGTERM came; nothing is lost, and the same command goes on. Exit status 130."""


class LingraftWarning(UserWarning):
    """Something a user should know of a run that goes on. Kept in run.json."""


def suggest(name: str, known: Iterable[str]) -> str:
    """The tail of an error message: the nearest known name, else all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]!r}?" if close else "Known: " + ", ".join(names) + "."
