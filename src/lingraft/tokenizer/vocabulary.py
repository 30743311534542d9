"""What a vocabulary means, whatever its family: one spelling, the roles of specials, what two vocabularies share.

The one spelling: a token that begins a word is "▁" + text, a token that continues one is its text. WordPiece ("##"), byte-level BPE ("Ġ",
bytes behind letters), SentencePiece ("▁") and end-marked BPE ("</w>") are all brought to it.
"""

import codecs
import json
import re
import unicodedata
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from lingraft.text import words

WORD = "▁"
ROLES = {
    "begin": ("cls_token", "bos_token"),
    "end": ("sep_token", "eos_token"),
    "mask": ("mask_token",),
    "pad": ("pad_token",),
    "unknown": ("unk_token",),
}
_PLACEHOLDER = re.compile(r"[\[<]\|?(unused|extra_id|reserved|special|dummy)[\w ]*\|?[\]>]|madeupword\d+", re.IGNORECASE)


def _name_bytes(error: UnicodeError) -> tuple[str, int]:
    """What decoding puts for bytes that are no character."""
    assert isinstance(error, UnicodeDecodeError)
    return "".join(f"<0x{byte:02X}>" for byte in error.object[error.start : error.end]), error.end


codecs.register_error("lingraft-bytes", _name_bytes)


def _byte_of() -> dict[str, int]:
    """The 256 letters behind which byte-level BPE hides bytes: printable Latin-1 stands for itself, the rest from U+0100 on, in order."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(hidden)}


_BYTE_OF = _byte_of()


def backend(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The `tokenizers` definition behind a tokenizer (model, pre_tokenizer, …), its vocabulary left out; {} for a pure Python tokenizer."""
    fast = getattr(tokenizer, "_tokenizer", None)
    if fast is None:
        return {}
    definition: dict[str, Any] = json.loads(fast.to_str())
    for key in ("vocab", "merges"):
        definition["model"].pop(key, None)
    return definition


def is_byte_level(definition: dict[str, Any]) -> bool:
    """Whether a definition from `backend` spells bytes as letters."""
    return any('"ByteLevel"' in json.dumps(definition.get(part)) for part in ("pre_tokenizer", "decoder", "normalizer"))


def tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The raw token of every id, (highest id + 1,); "" where an id has none."""
    vocabulary = tokenizer.get_vocab()
    raw = [""] * (max(vocabulary.values(), default=-1) + 1)
    for token, number in vocabulary.items():
        raw[number] = token
    return raw


def special_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Ids that stand for no text: those with a role and every added token flagged as special."""
    flagged = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    return flagged | set(tokenizer.all_special_ids)


def spelling(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The one spelling of every id, (highest id + 1,): "▁" + text where the token begins a word, its text where it continues one.

    A further space inside a token is a space; bytes that are no character by themselves are "<0xE2>"; specials stay as they are; an id
    without token is "". In vocabularies that mark the end of a word ("</w>": XLM, GPT-1) the beginning is not known: tokens that end a
    word are spelled as beginning one, since most of them are whole words.
    """
    raw, definition, special = tokens(tokenizer), backend(tokenizer), special_ids(tokenizer)
    added = set(tokenizer.added_tokens_decoder)
    model = definition.get("model", {})
    if is_byte_level(definition):
        return [token if i in special else _from_bytes(token, literal=i in added) for i, token in enumerate(raw)]
    prefix = model.get("continuing_subword_prefix") or ("##" if not model and any(token.startswith("##") for token in raw) else "")
    suffix = model.get("end_of_word_suffix") or ("</w>" if not model and any(token.endswith("</w>") for token in raw) else "")
    return [token if i in special or not token else _from_marks(token, prefix, suffix) for i, token in enumerate(raw)]


def _from_bytes(token: str, literal: bool) -> str:
    if literal or not all(letter in _BYTE_OF for letter in token):
        text = token
    else:
        text = bytes(_BYTE_OF[letter] for letter in token).decode("utf-8", errors="lingraft-bytes")
    return WORD + text[1:] if text.startswith(" ") else text


def _from_marks(token: str, prefix: str, suffix: str) -> str:
    if prefix:
        continues = token.startswith(prefix) and len(token) > len(prefix)
        return token[len(prefix) :] if continues else WORD + token
    if suffix:
        ends = token.endswith(suffix) and len(token) > len(suffix)
        return WORD + token[: -len(suffix)] if ends else token
    return token[:1] + token[1:].replace(WORD, " ")


def begins_word(text: str) -> bool:
    """Whether a token in the one spelling begins a word: behind a space, or, in scripts that are written without spaces, anywhere."""
    return text.startswith(WORD) or words.begins_word(text)


def is_mark(text: str) -> bool:
    """Whether a token in the one spelling begins with a punctuation mark or a symbol, which is no part of a word before it."""
    return text[:1] != "" and unicodedata.category(text[0])[0] in "PS" and not text.startswith("<0x")


def roles(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """The id of each role the tokenizer has: begin (cls or bos), end (sep or eos), mask, pad, unknown. One id may hold several.

    Of two candidates, the one that the template puts around a text holds the role (XLM has a cls that it does not use), else the first.
    """
    before, after = blocks(tokenizer)
    framing = {"begin": before, "end": after}
    found = {}
    for role, names in ROLES.items():
        held = [number for name in names if (number := getattr(tokenizer, f"{name}_id")) is not None]
        if held:
            found[role] = int(next((number for number in held if number in framing.get(role, ())), held[0]))
    return found


def end_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """What stands after a document: the end role's token."""
    return roles(tokenizer).get("end")


def unused(tokenizer: PreTrainedTokenizerBase, size: int) -> np.ndarray:
    """Sorted ids below `size` that were never meant for text and hold no role, (n,) int64: [unused1], <extra_id_0>, reserved and
    other role-less specials, ids without token, rows beyond the tokenizer."""
    idle = _idle(tokenizer)
    ids = np.array([*idle, *range(len(tokens(tokenizer)), size)], dtype=np.int64)
    return ids[ids < size]


def _idle(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Sorted ids within the tokenizer that stand for no text and hold no role."""
    special = special_ids(tokenizer)
    named = {getattr(tokenizer, f"{name}_id") for names in ROLES.values() for name in names}
    silent = (not token or i in special or _PLACEHOLDER.fullmatch(token) for i, token in enumerate(tokens(tokenizer)))
    return [i for i, is_silent in enumerate(silent) if is_silent and i not in named]


def lowers_case(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer lower-cases text before it looks anything up."""
    fast = getattr(tokenizer, "_tokenizer", None)
    if fast is None:
        return bool(getattr(tokenizer, "do_lower_case", False) or getattr(tokenizer, "do_lowercase_and_remove_accent", False))
    return fast.normalizer is not None and "a" in fast.normalizer.normalize_str("A")


def overlap(source: PreTrainedTokenizerBase, target: PreTrainedTokenizerBase) -> np.ndarray:
    """The source id with the same spelling as each target id, else -1, (num_target,) int64.

    Target spellings are lower-cased where the source tokenizer lower-cases. A token without letter or digit matches whatever its marker
    ("," continues a word in BPE and begins one in WordPiece), any other only in the same position. Specials and unused rows never match.
    """
    raw, spelled = tokens(source), spelling(source)
    closed = special_ids(source).union(_idle(source))
    exact: dict[str, int] = {}
    loose: dict[str, int] = {}
    for number in sorted(set(range(len(raw))) - closed, key=raw.__getitem__):  # by string, so that the order of ids decides nothing
        exact.setdefault(spelled[number], number)
        if key := _symbols(spelled[number]):
            loose.setdefault(key, number)
    lower = lowers_case(source)
    skipped = special_ids(target).union(_idle(target))
    wanted = [text.lower() if lower else text for text in spelling(target)]
    return np.array([-1 if i in skipped or not text else _match(text, exact, loose) for i, text in enumerate(wanted)], dtype=np.int64)


def _match(text: str, exact: dict[str, int], loose: dict[str, int]) -> int:
    return exact.get(text, loose.get(_symbols(text), -1))


def _symbols(text: str) -> str:
    """The token without its marker where it holds no letter, mark or digit, else "" (which matches nothing)."""
    bare = text.removeprefix(WORD)
    return "" if any(unicodedata.category(letter)[0] in "LMN" for letter in bare) else bare


def class_number(text: str) -> int:
    """A number for the script of a token's first letter (the first word of its Unicode name; what is no letter has a class of its own)
    and whether the token begins a word; the same in every process."""
    letter = next((letter for letter in text if letter.isalpha()), "")
    script = unicodedata.name(letter, "?").split()[0] if letter else ""
    return int.from_bytes(script.encode()[:6].ljust(6, b"\0"), "big") * 2 + text.startswith(WORD)


def num_kept(source: PreTrainedTokenizerBase, target: PreTrainedTokenizerBase) -> int:
    """How many ids the target keeps as they are, where it is the source's tokenizer with more tokens behind; else 0."""
    old, new = tokens(source), tokens(target)
    return len(old) if len(new) > len(old) and new[: len(old)] == old else 0


def new_ids(source: PreTrainedTokenizerBase, target: PreTrainedTokenizerBase) -> np.ndarray:
    """The target's ids of text for which the source has no token, (n,) int64."""
    if kept := num_kept(source, target):
        return np.arange(kept, len(tokens(target)))
    missing = np.flatnonzero(overlap(source, target) < 0)
    return np.setdiff1d(missing, list(special_ids(target)))


def shared_roles(source: PreTrainedTokenizerBase, target: PreTrainedTokenizerBase) -> dict[int, int]:
    """The target's id of a special token -> the source's of the same role. One that holds several roles is what it marks most: an end."""
    old, new = roles(source), roles(target)
    return {new[role]: old[role] for role in ("unknown", "pad", "mask", "begin", "end") if role in old and role in new}


def stacked_ids(source: PreTrainedTokenizerBase, target: PreTrainedTokenizerBase) -> np.ndarray:
    """Where the target's tokens stand in a vocabulary of the source's with the target's behind it, (num_target,) int64.

    Specials with the same role, or the same string, are one: the source's.
    """
    known, own = source.get_vocab(), tokens(target)
    shared = {number: known[own[number]] for number in special_ids(target) if own[number] in known} | shared_roles(source, target)
    ids = np.array([shared.get(number, -1) for number in range(len(own))], dtype=np.int64)
    free = ids < 0
    ids[free] = len(tokens(source)) + np.arange(np.count_nonzero(free))
    return ids


def frame(tokenizer: PreTrainedTokenizerBase, num_texts: int = 1) -> list[tuple[int | None, int, int]]:
    """What the tokenizer puts around one text or two: (text number or None for a special, id, segment) of each token of a sample."""
    texts = ["a", "a"][:num_texts]
    encoded = tokenizer(*texts, return_token_type_ids=True, return_special_tokens_mask=True)
    if encoded.encodings:
        encoding = encoded.encodings[0]
        return list(zip(encoding.sequence_ids, encoding.ids, encoding.type_ids, strict=True))
    outside, rows, number = True, [], -1
    for is_special, token, segment in zip(encoded["special_tokens_mask"], encoded["input_ids"], encoded["token_type_ids"], strict=True):
        number += outside and not is_special
        outside = bool(is_special)
        rows.append((None if is_special else number, token, segment))
    return rows


def blocks(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The special ids (before, after) a single sequence, as the tokenizer's own template has them."""
    rows = frame(tokenizer)
    inside = [place for place, (text, _, _) in enumerate(rows) if text is not None] or [len(rows)]
    return [token for _, token, _ in rows[: inside[0]]], [token for _, token, _ in rows[inside[-1] + 1 :]]
