"""The machine that a run is on, and the processes that work on it together."""

import contextlib
import os
import platform
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, parse_flag_from_env


def processes() -> PartialState:
    """The processes that accelerate or torchrun started; on CPUs where they are told to, or where there is nothing else."""
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    has_gpu = torch.cuda.is_available() or torch.xpu.is_available()
    patient = timedelta(days=1)  # the others wait while the first one aligns, races, evaluates
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU") or (several and not has_gpu), timeout=patient)


@contextlib.contextmanager
def first() -> Iterator[None]:
    """Where accelerate started several processes: the first one does the work, the others find it complete."""
    with processes().main_process_first():
        yield


def from_main(value: Any) -> Any:
    """The main process's value, in every process."""
    found = [value]
    if processes().num_processes > 1:
        broadcast_object_list(found)
    return found[0]


def hardware() -> dict[str, Any]:
    """What run.json says of the machine."""
    threads, device = torch.get_num_threads(), processes().device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {"machine": platform.machine(), "cores": os.cpu_count(), "threads": threads, "torch": torch.__version__, "device": name}
