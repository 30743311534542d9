"""Run folders as a finished run leaves them, with made-up numbers and, in every place that holds the user's text, hostile text."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from transformers import PreTrainedTokenizerFast

HOSTILE = "<script>alert('x')</script>"
SOURCE = ["[PAD]", "[UNK]", "[MASK]", "house", "##s", "the", "book", "write", "##ing", "pen"]
TARGET = ["[PAD]", "[UNK]", "[MASK]", "haus", "##ing", "kitab", "كتاب", "日本", HOSTILE, "stift", "the", "pen"]
ORIGINS = ["copied", "mixed", "direct", "drawn"]
RECIPE = 'name = "copy"\n# a comment with ``` and <b>\n[phases.main]\nsteps = 200\n'


def write_run(folder: Path, *, recipe: str = "copy", examples: bool = True, language: str = "de", shift: float = 0.0) -> Path:
    """Write a run folder; `shift` is added to its losses. Returns the folder."""
    folder.mkdir(parents=True)
    about = {
        "lingraft": "0.1.0",
        "language": language,
        "source": {"name": "sentence-transformers/all-MiniLM-L6-v2", "family": "bert", "parameters": 22713216, "licence": "Apache-2.0"},
        "recipe": recipe,
        "kind": "mlm",
        "text": {
            language: {
                "places": ["bundled:de", f"/home/me/{HOSTILE}.txt"],
                "documents": 1200,
                "lines": 36000,
                "characters": 3400000,
                "bytes": 3450000,
                "fingerprint": "0" * 64,
                "dropped": {"duplicates": 12},
            }
        },
        "tokenizer": {"fertility": 1.52, "bytes_per_token": 4.1, "unknown_rate": 0.0, "overlap": 0.31, "words": 10000, "tokens": 15200},
        "origin": {"copied": 3, "mixed": 4, "direct": 0, "drawn": 5},
        "parameters": {"embeddings": 3072000, "body": 10646784, "head": 156224},
        "warnings": [f"The vocabulary has 7,990 tokens, not 8,000. {HOSTILE}"],
        "hardware": {"cpu": "x86_64", "cores": 2, "precision": "float32"},
        "tokens_per_second": 2345.6,
        "seconds": 325.2,
        "seed": 1,
        "notes": ["The source is a sentence encoder: training on masked tokens spoils its sentence vectors."],
        "examples": examples,
    }
    (folder / "run.json").write_text(json.dumps(about), encoding="utf-8")
    (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    _write_lines(folder / "metrics.jsonl", _metrics(shift))
    _write_lines(folder / "scores.jsonl", _scores(language, shift))
    _write_rows(folder / "rows.safetensors")
    write_tokenizer(folder / "tokenizer" / language, TARGET)
    write_tokenizer(folder / "tokenizer" / "source", SOURCE)
    return folder


def write_tokenizer(folder: Path, tokens: list[str]) -> None:
    """Save a WordPiece tokenizer with these tokens, specials first."""
    model = WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]")
    tokenizer.save_pretrained(folder)


def _metrics(shift: float) -> list[dict[str, Any]]:
    noise = np.random.default_rng(0).normal(0, 0.15, 200)
    records: list[dict[str, Any]] = []
    for step in range(200):
        loss = 5 + shift + 4 * np.exp(-step / 40) + noise[step]
        records.append({"phase": "main", "step": step, "tokens": 2000 * step, "loss": loss, "learning_rate": 1e-4, "seconds": step * 1.5})
        if step % 50 == 49:
            records.append({"phase": "main", "step": step, "tokens": 2000 * step, "held_out_loss": loss - noise[step] + 0.1})
    return records


def _scores(language: str, shift: float) -> list[dict[str, Any]]:
    values = {
        "loss": (9.1, 5.1 + shift),
        "bits_per_byte": (3.2, 1.8 + shift / 3),
        "bits_per_word": (20.5, 11.4 + shift),
        "mrr": (0.01, 0.31),
    }
    fixed = {"suite": "language_model", "n": 12345, "seed": 0, "language": language, "word": "whitespace"}
    return [
        fixed | {"model": model, "name": name, "value": pair[i]}
        for i, model in enumerate(("initial", "final"))
        for name, pair in values.items()
    ]


def _write_rows(path: Path) -> None:
    """Rows for TARGET: "the" and "pen" copied, "haus" and the hostile token mixed, the rest drawn."""
    mixes = {3: [(3, 0.75), (4, 0.25)], 8: [(6, 1.0)], 10: [(5, 1.0)], 11: [(9, 1.0)]}
    lengths = [len(mixes.get(row, [])) for row in range(len(TARGET))]
    flat = [pair for row in range(len(TARGET)) for pair in mixes.get(row, [])]
    arrays = {
        "origin": np.array([0 if row in (10, 11) else 1 if row in mixes else 3 for row in range(len(TARGET))], np.uint8),
        "mix.indptr": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        "mix.indices": np.array([i for i, _ in flat], np.int64),
        "mix.values": np.array([w for _, w in flat], np.float32),
        "group": np.array([-1 if row in mixes else 0 for row in range(len(TARGET))], np.int32),
    }
    save_file(arrays, path, metadata={"origins": ",".join(ORIGINS), "method": "copy"})


def _write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
