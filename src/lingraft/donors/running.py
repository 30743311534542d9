"""How cells come to be run: one by one, each by whoever holds its lock; failures are noted and tried again, and never go unsaid."""

import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch

from lingraft.donors.records import Cell, Record, read_record
from lingraft.donors.stacked import train_together
from lingraft.donors.training import Kit, begun, finish, learned, num_steps, previous, train_cell
from lingraft.errors import Interrupted, RunError
from lingraft.files import locked
from lingraft.machine import processes
from lingraft.train.data import Data
from lingraft.train.loop import bfloat16_pays

Told = Callable[[str], None]
FAILURES = "failures.jsonl"
LAST_LINES = 6  # of a traceback


@dataclass(frozen=True)
class Outcome:
    """What became of the cells that a command was asked for. before: how many were there. failed: name -> why, in a line."""

    cells: list[str]
    before: int
    ran: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def note(self, one: Cell, result: Record | str, told: Told) -> None:
        """Count a cell that has ended, with its record or the reason why it has none, and say so."""
        if isinstance(result, str):
            self.failed[one.name] = result
            return
        self.ran.append(one.name)
        scores = "  ".join(f"{code} {score.mrr:.4f}" for code, score in result.scores.items())
        told(f"{self.before + len(self.ran)} of {len(self.cells)}  {one.name}  {scores}  {result.seconds:.0f} s")


@contextmanager
def held(kit: Kit, some: Sequence[Cell], wait: bool = False) -> Iterator[bool]:
    """Whether this process has the cells to itself, all of them. wait: until it has."""
    with ExitStack() as stack:
        try:
            for one in some:
                stack.enter_context(locked(kit.work(one), waits=wait))
            is_ours = True
        except RunError:
            is_ours = False
        yield is_ours


def obtain(kit: Kit, one: Cell, engine: str, wait: bool = False) -> Record | None:
    """Run a cell, and those it goes on from, unless another process has done so. None where another one is at it (and we do not wait)."""
    with held(kit, [one], wait) as ours:
        if not ours:
            return None
        if not kit.is_done(one):
            obtain_previous(kit, one, engine)
            return train_cell(kit, one, engine)
    return read_record(kit.folder(one))


def obtain_previous(kit: Kit, one: Cell, engine: str) -> None:
    """Run what a cell goes on from, or wait for whoever does."""
    before = previous(one)
    if before is not None and not kit.is_done(before):
        obtain(kit, before, engine, wait=True)


def obtain_together(kit: Kit, group: Sequence[Cell]) -> dict[str, Record | str] | None:
    """Run cells as one program. Those that are there already run along, so that a group that was stopped gives the same numbers, but are
    not written again. Name -> record, or the reason why there is none; None where another process is at one of them."""
    with held(kit, group) as ours:
        if not ours:
            return None
        if not all(map(kit.is_done, group)):
            for one in group:
                obtain_previous(kit, one, "batched")
            return dict(_together(kit, group))
    return {one.name: read_record(kit.folder(one)) for one in group}


def _together(kit: Kit, group: Sequence[Cell]) -> Iterator[tuple[str, Record | str]]:
    texts, device, phase = [kit.text(learned(one)) for one in group], processes().device, kit.settings.phase()
    totals = [num_steps(kit, text) for text in texts]
    bfloat16 = phase.precision == "bfloat16" or (phase.precision == "auto" and bfloat16_pays(device))
    data, began, models = [Data(text, kit.vocabulary) for text in texts], time.monotonic(), [begun(kit, one) for one in group]
    trained = train_together(models, data, [one.seed for one in group], totals, phase, texts[0].pad, device, bfloat16)
    for number, model in trained:
        one, seconds = group[number], (time.monotonic() - began) / len(group)
        if not all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters()):
            yield (
                one.name,
                note_failure(kit, one, 1, "TrainingError: the loss is not a number. Lower learning_rate, or set precision=float32."),
            )
        elif not kit.is_done(one):
            yield one.name, finish(kit, one, model.to(device), totals[number], None, seconds, "batched")


def note_failure(kit: Kit, one: Cell, attempt: int, error: str) -> str:
    """A line in failures.jsonl: the end of the traceback. Returns its last line."""
    lines = error.strip().splitlines()[-LAST_LINES:]
    with (kit.grid / FAILURES).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"cell": one.name, "attempt": attempt, "error": lines}, ensure_ascii=False) + "\n")
    return lines[-1]


def chunks(wanted: Sequence[Cell], size: int) -> list[list[Cell]]:
    """Groups of cells that train as one program: of as many languages each, so that none goes on from another, and none waits for long."""
    alike: dict[int, list[Cell]] = {}
    for one in wanted:
        alike.setdefault(len(one.languages), []).append(one)
    return [some[start : start + size] for some in alike.values() for start in range(0, len(some), size)]


def _attempts(kit: Kit, group: Sequence[Cell], retries: int, told: Told) -> Mapping[str, Record | str] | None:
    """Name -> the record, or the reason why there is none; None where another process is at it."""
    reason = ""
    for attempt in range(1, retries + 2):
        try:
            if len(group) > 1:
                return obtain_together(kit, group)
            record = obtain(kit, group[0], "local")
            return None if record is None else {group[0].name: record}
        except (Interrupted, KeyboardInterrupt) as error:
            raise Interrupted(f"Interrupted in {group[0].name}. The same command goes on from there.") from error
        except Exception:
            for one in group:
                reason = note_failure(kit, one, attempt, traceback.format_exc())
            told(f"{', '.join(one.name for one in group)} failed ({reason}), attempt {attempt} of {retries + 1}")
    return {one.name: reason for one in group}


def run_here(kit: Kit, groups: Sequence[Sequence[Cell]], outcome: Outcome, retries: int, told: Told) -> None:
    """One group of cells after the other, in this process. Those that other processes are at come last, and are taken over where these
    die."""
    pending, waits, missing = list(groups), False, {one.name for group in groups for one in group if not kit.is_done(one)}
    while pending:
        later = []
        for group in pending:
            found = _attempts(kit, group, retries, told)
            if found is None:
                later.append(group)
                continue
            for one in group:
                if one.name in found and one.name in missing:
                    outcome.note(one, found[one.name], told)
        if len(later) == len(pending):
            if not waits:
                told(f"waiting for other processes, which have {sum(map(len, later))} cells")
            waits = True
            time.sleep(1)
        pending = later
