"""`lingraft donors`."""

import typer

from lingraft.cli import donors_choose, donors_corpus

app = typer.Typer(name="donors", help="Find out which languages help which.", no_args_is_help=True)


@app.callback()
def _donors() -> None:
    """Find out which languages help which."""


app.command("corpus")(donors_corpus.corpus)
app.command("choose")(donors_choose.choose)
