"""The one training loop: every phase of every recipe runs here, on one process or many.

A step is a pure function of (weights, optimiser state, seed, step number): order of blocks, masks and dropout are all drawn from the
step's own seed, so that a run that was killed and resumed ends with the same bytes, and several processes see one global batch.
"""

import contextlib
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from lingraft.errors import Interrupted, RecipeError, TrainingError
from lingraft.model.bare_begin import TiedBegin, tied_begin
from lingraft.model.heads import let_train
from lingraft.model.parts import FrozenRows
from lingraft.model.scratch import DROPOUT
from lingraft.train import checkpoint
from lingraft.train.allocator import keep_memory
from lingraft.train.alone import Alone
from lingraft.train.data import Material
from lingraft.train.fast import fast_dropout
from lingraft.train.optimise import Lamb, build_optimizer, learning_rate
from lingraft.train.settings import TrainingSettings
from lingraft.train.tracking import check_tracker, numbers, tracked


@dataclass(frozen=True, slots=True)
class Options:
    """How a phase is run, none of which changes what comes out of it.

    record: called with a dictionary for metrics.jsonl. progress: called with (phase, step, total, mean loss).
    resumed: called with the step a phase starts at, -1 for its beginning.
    evaluate: held-out loss of the model as it is, called `evaluations` times. enough: whether to stop here, asked after every step.
    track: a logger that accelerate knows (tensorboard, wandb, mlflow).
    alone: leave out the other processes, which have something else to do or wait.
    """

    checkpoint_steps: int | None = None
    checkpoint_seconds: float = 60.0
    keep: int = 2
    log_steps: int = 10
    warm_up: int = 5
    evaluations: int = 5
    record: Callable[[dict[str, Any]], None] = lambda line: None
    progress: Callable[[str, int, int, float], None] = lambda phase, step, total, loss: None
    resumed: Callable[[int], None] = lambda step: None
    evaluate: Callable[[Any], float] | None = None
    enough: Callable[[], bool] | None = None
    track: str | None = None
    alone: bool = False

    def __post_init__(self) -> None:
        """Raise MissingExtra at once where the tracker is not there."""
        if self.track:
            check_tracker(self.track)


@dataclass(slots=True)
class Speed:
    """Tokens and seconds of the steps after the first `warm_up`, and of all, without evaluations and checkpoints."""

    warm_up: int = 5
    tokens: int = 0
    seconds: float = 0.0
    steps: int = 0
    all_tokens: int = 0
    all_seconds: float = 0.0

    def add(self, tokens: int, seconds: float) -> None:
        """Count a step."""
        self.steps += 1
        self.all_tokens += tokens
        self.all_seconds += seconds
        if self.steps > self.warm_up:
            self.tokens += tokens
            self.seconds += seconds

    @property
    def tokens_per_second(self) -> float:
        """After the warm-up, or of all steps where there are no more; 0.0 without any."""
        tokens, seconds = (self.tokens, self.seconds) if self.seconds else (self.all_tokens, self.all_seconds)
        return tokens / seconds if seconds else 0.0


@dataclass(slots=True)
class Phase:
    """A phase in progress."""

    name: str
    model: Any
    settings: TrainingSettings
    data: Material
    total: int
    seed: int
    folder: Path
    options: Options
    accelerator: Accelerator | Alone
    parts: int
    optimizer: torch.optim.Optimizer = field(init=False)
    network: Any = field(init=False)
    wrapped: Any = None
    kept: list[FrozenRows | TiedBegin] = field(default_factory=list)
    speed: Speed = field(default_factory=Speed)
    loss_sum: torch.Tensor | float = 0.0
    loss_steps: int = 0
    saved_at: float = field(default_factory=time.monotonic)


def bfloat16_pays(device: torch.device) -> bool:
    """Whether the hardware computes in bfloat16: recent GPUs, and CPUs with instructions for it (elsewhere it is emulated, and slow)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else ""
    return device.type == "cpu" and capabilities.startswith("AVX512") and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def num_parts(settings: TrainingSettings, data: Material, accelerator: Accelerator | Alone) -> int:
    """Passes that a process splits its share of a batch into. Where inputs differ in length the parts are filled up to lengths of their
    own: less work, but smaller products, and twice what a pass costs whatever its size; only on a CPU is that a gain. Raises RecipeError
    where the batch cannot be split so."""
    share, rest = divmod(settings.batch, accelerator.num_processes)
    automatic = math.gcd(share, 2) if data.ragged and accelerator.device.type == "cpu" else 1
    parts = settings.accumulation or automatic
    if rest or share % parts:
        raise RecipeError(
            f"batch = {settings.batch} cannot be split into {accelerator.num_processes} processes x {parts} accumulation steps."
        )
    return parts


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list, instead of stopping at once, while the block runs."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {number: signal.signal(number, lambda n, frame: caught.append(n)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def train(
    name: str, model: Any, settings: TrainingSettings, data: Material, *, total: int, seed: int, folder: Path, options: Options
) -> Speed:
    """Train `model` in place for `total` steps, going on from the newest whole checkpoint below `folder`.

    Raises Interrupted after SIGINT or SIGTERM (a checkpoint is written first), TrainingError where the loss is not a number.
    """
    accelerator = Alone() if options.alone else Accelerator(log_with=options.track, project_dir=str(folder / "tracking"))
    parts = num_parts(settings, data, accelerator)
    keep_memory()
    phase = Phase(name, model, settings, data, total, seed, folder, options, accelerator, parts, speed=Speed(options.warm_up))
    found = _resume(phase)
    if found and found.step >= total:
        phase.data.remove(phase.network)
        return phase.speed
    start = found.step if found else 0
    with _modes(phase), tracked(accelerator, name, settings.model_dump()), stop_signals() as caught:
        if found is None:
            _evaluate(phase, 0)
        for step in range(start, total):
            _step(phase, step)
            _after_step(phase, step + 1, bool(caught))
            if options.enough and _agreed(accelerator, options.enough()):
                break
    if accelerator.is_main_process:
        checkpoint.save(folder, total, model, None, keep=options.keep)
    accelerator.wait_for_everyone()
    return phase.speed


def _agreed(accelerator: Accelerator | Alone, wanted: bool) -> bool:
    """Whether any process wants it: all get the same answer."""
    return (
        wanted if accelerator.num_processes == 1 else bool(accelerator.reduce(torch.tensor(float(wanted), device=accelerator.device)) > 0)
    )


def _resume(phase: Phase) -> checkpoint.Checkpoint | None:
    phase.network = phase.data.network(phase.model)
    phase.model.to(phase.accelerator.device)
    found = checkpoint.latest(phase.folder) if phase.folder.exists() else None
    phase.optimizer = build_optimizer(phase.model, phase.settings)
    phase.options.resumed(-1 if found is None else found.step)
    if found is None:
        return None
    checkpoint.restore_weights(phase.model, found)
    if found.step < phase.total:
        checkpoint.restore_optimizer(phase.model, phase.optimizer, found)
    return found


@contextlib.contextmanager
def _modes(phase: Phase) -> Iterator[None]:
    """Training mode, the recipe's dropout, gradient checkpointing, the faster dropout on a CPU; all undone afterwards."""
    model, settings = phase.model, phase.settings
    rates = _dropout_rates(model)
    if settings.dropout is not None:
        for module, name, _ in rates:
            setattr(module, name, settings.dropout)
    if settings.gradient_checkpointing:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # the new name came after transformers 5.0
            model.gradient_checkpointing_enable()
    if settings.compile:
        model.base_model.forward = torch.compile(model.base_model.forward, dynamic=False)
    fast = fast_dropout(model) if phase.accelerator.device.type == "cpu" else contextlib.nullcontext()
    try:
        with fast:
            model.train()
            yield
    finally:
        model.eval()
        phase.data.remove(phase.network)
        vars(model.base_model).pop("forward", None)
        for module, name, rate in rates:
            setattr(module, name, rate)
        if settings.gradient_checkpointing:
            model.gradient_checkpointing_disable()
        model.requires_grad_(True)


def _dropout_rates(model: Any) -> list[tuple[torch.nn.Module, str, float]]:
    """Each place where a model keeps a rate of dropout: modules of that kind, and what families hand to functions."""
    return [
        (module, name, value)
        for module in model.modules()
        for name, value in vars(module).items()
        if type(value) in (int, float) and (DROPOUT.search(name) or (name == "p" and isinstance(module, torch.nn.Dropout)))
    ]


def segments(settings: TrainingSettings, total: int) -> dict[int, list[str]]:
    """First step -> parts that train from it on."""
    return {0: settings.train, **{round(switch.at * total): switch.train for switch in settings.switch}}


def _enter_segment(phase: Phase, step: int) -> None:
    """Let the parts of the segment that holds `step` train."""
    found = segments(phase.settings, phase.total)
    parts = found[max(first for first in found if first <= step)]
    partial = let_train(phase.model, parts, phase.settings)
    tie = tied_begin(phase.model)
    frozen = FrozenRows(phase.model, partial, phase.data.rows)
    phase.kept = [*([frozen] if partial else []), *([tie] if tie else [])]
    if isinstance(phase.optimizer, Lamb):
        phase.optimizer.rows = frozen.trained
    phase.wrapped = phase.accelerator.prepare(phase.network)


def _step(phase: Phase, step: int) -> None:
    settings, accelerator = phase.settings, phase.accelerator
    began = time.perf_counter()
    if phase.wrapped is None or step in segments(phase.settings, phase.total):
        _enter_segment(phase, step)
    batch = phase.data.batch(settings, step, phase.seed)
    torch.manual_seed(int(np.random.SeedSequence([phase.seed, step, accelerator.process_index]).generate_state(1, np.uint64)[0] >> 1))
    loss = sum(_backward(phase, batch, index) for index in range(phase.parts))
    for kept in phase.kept:
        kept.mask_gradients()
    if settings.clip:
        norm = accelerator.clip_grad_norm_([p for p in phase.model.parameters() if p.grad is not None], settings.clip)
        loss = loss + 0 * norm  # gradients that are no numbers show in the loss before their step is kept
    rate = learning_rate(settings, step, phase.total)
    for group in phase.optimizer.param_groups:
        group["lr"] = rate
    phase.optimizer.step()
    phase.optimizer.zero_grad(set_to_none=True)
    for kept in phase.kept:
        kept.restore()
    phase.loss_sum, phase.loss_steps = phase.loss_sum + loss, phase.loss_steps + 1
    phase.speed.add(phase.data.size(batch), time.perf_counter() - began)


def _backward(phase: Phase, batch: Any, index: int) -> torch.Tensor:
    """Gradients of this process's share `index` of the batch; returns its part of the batch's mean loss, (), detached."""
    accelerator, count = phase.accelerator, phase.parts
    place, shares, last = accelerator.process_index * count + index, accelerator.num_processes * count, index == count - 1
    with contextlib.nullcontext() if last else accelerator.no_sync(phase.wrapped), _autocast(phase):
        loss = phase.data.loss(phase.wrapped, batch, place, shares, accelerator.device)
    accelerator.backward(loss * accelerator.num_processes)
    phase.data.release(phase.network)
    return loss.detach()


def _autocast(phase: Phase) -> Any:
    device, precision = phase.accelerator.device, phase.settings.precision
    enabled = precision == "bfloat16" or (precision == "auto" and bfloat16_pays(device))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def _after_step(phase: Phase, done: int, stop: bool) -> None:
    """Log, evaluate, checkpoint, stop: whatever is due after `done` steps. Processes decide alike wherever they must meet."""
    options, end = phase.options, done == phase.total
    boundary = done % options.log_steps == 0 or end
    fixed = bool(options.checkpoint_steps) and done % options.checkpoint_steps == 0  # type: ignore[operator]
    if phase.accelerator.num_processes > 1:
        stop = boundary and _agreed(phase.accelerator, stop)
    if boundary or fixed or stop:
        _log(phase, done)
    if options.evaluate and (end or done % max(1, -(-phase.total // options.evaluations)) == 0):
        _evaluate(phase, done)
    timed = boundary and not options.checkpoint_steps and time.monotonic() - phase.saved_at > options.checkpoint_seconds
    if (fixed or timed or stop) and not end and phase.accelerator.is_main_process:
        checkpoint.save(phase.folder, done, phase.model, phase.optimizer, keep=options.keep)
        phase.saved_at = time.monotonic()
    if stop and not end:
        raise Interrupted(f"Interrupted after step {done} of {phase.total} in phase {phase.name!r}. The same command goes on from there.")


def _log(phase: Phase, done: int) -> None:
    if not phase.loss_steps:
        return
    loss = float(phase.accelerator.reduce(torch.as_tensor(phase.loss_sum / phase.loss_steps), reduction="sum"))
    first = done - phase.loss_steps + 1
    if not np.isfinite(loss):
        raise TrainingError(
            f"The loss of phase {phase.name!r} is {loss} between steps {first} and {done}. Lower learning_rate, raise warmup, "
            "or set precision=float32; the last checkpoint is from before."
        )
    tokens = done * phase.settings.batch * phase.settings.length
    rate = learning_rate(phase.settings, done - 1, phase.total)
    counts = {name: phase.accelerator.reduce(count, reduction="sum").tolist() for name, count in phase.data.measured().items()}
    shares = {name: right / max(1, asked) for name, (right, asked) in counts.items()}
    _record(phase, {"step": done, "tokens": tokens, "loss": loss, "learning_rate": rate, "seconds": phase.speed.all_seconds, **shares})
    phase.options.progress(phase.name, done, phase.total, loss)
    phase.loss_sum, phase.loss_steps = 0.0, 0


def _evaluate(phase: Phase, done: int) -> None:
    if phase.options.evaluate is None or not phase.accelerator.is_main_process:
        return
    training = phase.model.training
    phase.model.eval()
    held_out = phase.options.evaluate(phase.model)
    phase.model.train(training)
    tokens = done * phase.settings.batch * phase.settings.length
    _record(phase, {"step": done, "tokens": tokens, "held_out_loss": held_out})


def _record(phase: Phase, line: dict[str, Any]) -> None:
    phase.options.record({"phase": phase.name, **line})
    phase.accelerator.log(numbers(line), step=line["step"])
