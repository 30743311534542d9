"""The training loop on models two layers deep: what it trains on, and with which settings."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from conftest import WIDTH

from lingraft.train.batches import Blocks
from lingraft.train.data import Data
from lingraft.train.loop import Options, train
from lingraft.train.objectives import Vocabulary
from lingraft.train.settings import PhaseSettings

SIZE, LENGTH, SEED = 60, 16, 3
TOKENS = np.random.default_rng(0).integers(5, SIZE, size=3000).astype(np.uint16)
DATA = Data(Blocks(TOKENS, LENGTH, (1,), (2,)), Vocabulary(SIZE, 4, np.arange(5), np.arange(SIZE) % 2 == 0))
CAUSAL = Data(Blocks(TOKENS, LENGTH, (1,), ()), Vocabulary(SIZE, None, np.arange(5), np.ones(SIZE, dtype=bool)))
SETTINGS = PhaseSettings(steps=6, batch=8, length=LENGTH, learning_rate=1e-2, weight_decay=0.1, warmup=0.3, precision="float32")
CALM = SETTINGS.model_copy(update={"dropout": 0.0})
Lines = list[dict[str, Any]]


def new_model(family: str = "bert") -> Any:
    torch.manual_seed(0)
    if family == "gpt2":
        config = transformers.GPT2Config(vocab_size=SIZE, n_embd=32, n_layer=2, n_head=2, n_positions=LENGTH)
        return transformers.GPT2LMHeadModel(config).eval()
    return transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=SIZE, **WIDTH)).eval()


def run(
    folder: Path, settings: PhaseSettings, *, model: Any = None, data: Data = DATA, total: int = 6, **options: Any
) -> tuple[Any, Lines]:
    """Train, and return the model and the lines it recorded."""
    lines: Lines = []
    model = new_model() if model is None else model
    train(
        "test", model, settings, data, total=total, seed=SEED, folder=folder, options=Options(log_steps=1, record=lines.append, **options)
    )
    return model, lines


def losses(lines: Lines) -> list[float]:
    return [line["loss"] for line in lines if "loss" in line]


def same(one: Any, other: Any) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
