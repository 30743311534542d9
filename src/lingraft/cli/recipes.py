"""`lingraft recipes`."""

import typer

app = typer.Typer(help="The recipes: list them, show one, check one.", no_args_is_help=True)


@app.command("list")
def list_recipes() -> None:
    """Names and titles of the recipes in the package."""
    from lingraft.recipe import load_recipe, shipped

    for name in shipped():
        print(f"{name:24} {load_recipe(name).title}")


@app.command()
def show(name: str) -> None:
    """A recipe with every setting written out."""
    from lingraft.recipe import load_recipe

    print(load_recipe(name).to_toml(), end="")


@app.command()
def check(name: str) -> None:
    """Exit status 0 where a recipe (a name or a file) is valid, else 2 and the reason."""
    from lingraft.recipe import load_recipe

    print(f"{load_recipe(name).name} is valid")
