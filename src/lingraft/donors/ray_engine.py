"""Cells on a Ray cluster: one that the command starts on this machine, or one that it joins. Every machine must see corpus and grid at the
same path. A worker that dies takes its cell with it, and no other; the cell is run again, from its last checkpoint."""

import logging
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from lingraft.donors.records import Cell, Record
from lingraft.donors.running import Outcome, Told, note_failure, obtain
from lingraft.donors.training import Kit
from lingraft.errors import Interrupted, MissingExtra, RunError

DEATHS = 5  # of a cell's workers, after which it is left


@dataclass(frozen=True, slots=True)
class RayOptions:
    """address: of a cluster; None: one is started here, for as long as the command runs. cpus, gpus: what a cell asks for, in
    fractions too."""

    address: str | None = None
    cpus: float = 1
    gpus: float = 0


def run_cell(kit: Kit, one: Cell) -> Record | str | None:
    """In a worker: the record, the traceback where it failed, None where another process is at the cell."""
    try:
        return obtain(kit, one, "ray")
    except Exception:
        return traceback.format_exc()


@contextmanager
def cluster(options: RayOptions) -> Iterator[Any]:
    """Ray, connected; as it is, where it is already. Raises MissingExtra where it is not installed,
    RunError where there is no such cluster."""
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("--engine ray needs the package ray, which is not installed. Install it: pip install 'lingraft[ray]'") from error
    if ray.is_initialized():
        yield ray
        return
    try:
        local: dict[str, Any] = {"include_dashboard": False} if options.address is None else {}
        ray.init(address=options.address or "local", log_to_driver=False, logging_level=logging.ERROR, **local)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = options.address or "on this machine"
        raise RunError(
            f"Cannot reach or start a Ray cluster ({where}): {str(error).splitlines()[0]}. Check --address; where the cluster asks for "
            "a token, Ray reads it from RAY_AUTH_TOKEN."
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def run_on_ray(kit: Kit, wanted: Sequence[Cell], outcome: Outcome, retries: int, told: Told, options: RayOptions) -> None:
    """Run cells, as many at once as the cluster has room for."""
    with cluster(options) as ray:
        have = ray.cluster_resources()
        for name, asked in (("CPU", options.cpus), ("GPU", options.gpus)):
            if asked > have.get(name, 0):
                raise RunError(
                    f"A cell asks for {asked:g} {name}, but the cluster has {have.get(name, 0):g}. Use a smaller --{name.lower()}s."
                )
        task = ray.remote(run_cell).options(num_cpus=options.cpus, num_gpus=options.gpus, max_retries=0)
        shared, running = ray.put(replace(kit)), {}
        tries: dict[str, list[int]] = {one.name: [0, 0] for one in wanted}  # errors, deaths
        for one in wanted:
            running[task.remote(shared, one)] = one
        try:
            while running:
                ready, _ = ray.wait(list(running), num_returns=1)
                one = running.pop(ready[0])
                if not _settled(ray, kit, one, ready[0], tries[one.name], outcome, retries, told):
                    running[task.remote(shared, one)] = one
        except KeyboardInterrupt as error:
            raise Interrupted("Interrupted. The same command goes on from the last checkpoints.") from error


def _settled(
    ray: Any, kit: Kit, one: Cell, reference: Any, tries: list[int], outcome: Outcome, retries: int, told: Told
) -> bool:  # fmt: skip
    """Whether a cell need not be run again."""
    try:
        result = ray.get(reference)
    except ray.exceptions.RayError as error:
        result, died = f"{type(error).__name__}: {error}", True
    else:
        died = False
    if result is None:
        time.sleep(1)
        return False
    if isinstance(result, str):
        tries[died] += 1
        reason = note_failure(kit, one, sum(tries), result)
        again = tries[1] < DEATHS if died else tries[0] <= retries
        told(f"{one.name} failed ({'its worker died' if died else reason}){'; it is run again' if again else ''}")
        if again:
            return False
        result = reason
    outcome.note(one, result, told)
    return True
