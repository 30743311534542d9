"""`lingraft swap`."""

from pathlib import Path
from typing import Annotated

import typer


def swap(
    task_model: Annotated[str, typer.Argument(help="A folder that `lingraft finetune` made.", metavar="TASK_MODEL")],
    graft: Annotated[Path, typer.Option(help="A run of `lingraft transfer` with a frozen body.", metavar="RUN")],
    out: Annotated[Path, typer.Option(help="Folder for the task model of the graft's language.", metavar="DIR")],
    force: Annotated[bool, typer.Option("--force", help="Also where it is not known which body the task model began with.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Give a task model another language, without training: the graft's rows in place of its own."""
    import json

    from lingraft.model.adapters import MERGED
    from lingraft.swap import swap as run_swap

    told = run_swap(task_model, graft=graft, out=out, force=force)
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
        return
    more = [name for name in ("positions", "adapters") if told[name]]
    print(f"model   {out}: {told['task'] or 'a task'} in {told['language']}")
    print(f"graft   {', '.join(['rows', *more])} of {told['graft']}")
    print(f"kept    body, head and the rows of {told['special_rows']} special tokens of {told['task_model']}")
    if told["adapters"] and told["adapters"] not in MERGED:
        print("Load it with lingraft.load: its adapters are in adapters.safetensors.")
