"""`lingraft donors`."""

import typer

from lingraft.cli import donors_choose, donors_corpus, donors_explore, donors_run, donors_scores, donors_zero_shot

app = typer.Typer(name="donors", help="Find out which languages help which.", no_args_is_help=True)
app.command("corpus")(donors_corpus.corpus)
app.command("run")(donors_run.run)
app.command("scores")(donors_scores.scores)
app.command("choose")(donors_choose.choose)
app.command("zero-shot")(donors_zero_shot.zero_shot)
app.command("explore")(donors_explore.explore)
