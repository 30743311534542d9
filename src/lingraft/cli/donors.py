"""`lingraft donors`."""

import typer

from lingraft.cli import donors_corpus, donors_scores, donors_zero_shot

app = typer.Typer(name="donors", help="Find out which languages help which.", no_args_is_help=True)


@app.callback()
def _donors() -> None:
    """Find out which languages help which."""


app.command("corpus")(donors_corpus.corpus)
app.command("scores")(donors_scores.scores)
app.command("zero-shot")(donors_zero_shot.zero_shot)
