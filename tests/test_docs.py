"""The documents: what a page tells its reader to type does what the page says, and what it says of settings is what the code has."""

import importlib.util
import re
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import typer

from lingraft.cli import app, main
from lingraft.model.names import PARTS
from lingraft.recipe import load_recipe
from lingraft.request import order
from lingraft.text import bundled
from lingraft.train import loop

TOP = Path(__file__).parent.parent
DOCS = TOP / "docs"
PAGES = sorted(page.relative_to(TOP).as_posix() for page in [TOP / "README.md", *DOCS.glob("*.md")])

SHORTER = {
    "google-bert/bert-base-cased": "bert",
    "bundled:eu": "eu.txt",
    "tokenizer.size=8000": "tokenizer.size=500",
    "steps=2000": "steps=4",
    "steps=3000": "steps=6",
    " of 2000": " of 4",
    "was 2000, now 3000": "was 4, now 6",
}
"""What stands in a page -> what the test runs in its place, so that it takes seconds."""


def shorter(text: str) -> str:
    """A page's block with the replacements of SHORTER."""
    for written, run in SHORTER.items():
        text = text.replace(written, run)
    return text


def blocks(page: str, *kinds: str) -> list[tuple[str, str]]:
    """(kind, text) of a page's fenced blocks of these kinds, in order."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [(kind, text) for kind, text in found if kind in kinds]


def sessions(block: str) -> Iterator[tuple[list[str], bool, str]]:
    """(words of a command, whether Ctrl-C follows, the output shown) for each `$ …` of a console block; a line's last \\ continues it."""
    for entry in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = re.sub(r"\\\n\s*", "", entry).partition("\n")
        yield shlex.split(command), shown.startswith("^C\n"), shown.removeprefix("^C\n")


def pattern(shown: str) -> str:
    """A regular expression for output: … stands for anything, and more lines may come before and after each one."""
    return ".*".join(re.escape(line).replace("…", ".*") for line in shown.splitlines())


@pytest.fixture
def place(pico: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a pico BERT and some Basque."""
    (tmp_path / "bert").symlink_to(pico("bert"))
    pages = ["\n".join(page.lines) for page in islice(bundled.documents("eu"), 60)]
    (tmp_path / "eu.txt").write_text("\n\n".join(pages), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # the command line puts its own in its place
    return tmp_path


def run(command: list[str], interrupted: bool, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Exit status of a command, run in this process; `interrupted`: Ctrl-C comes in its second step."""
    step = loop._step

    def stopped(phase: Any, number: int) -> None:
        step(phase, number)
        if number == 1:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", command)
        patch.setattr(loop, "_step", stopped if interrupted else step)
        with pytest.raises(SystemExit) as end:
            main()
    return end.value.code


def follow(page: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Do what a page says, block by block, and look for the output that it shows."""
    for kind, block in blocks(page, "console", "python"):
        if kind == "python":
            exec(compile(shorter(block), page, "exec"), {})
            continue
        for command, interrupted, shown in sessions(shorter(block)):
            capfd.readouterr()
            status = run(command, interrupted, monkeypatch)
            output = "".join(capfd.readouterr())
            assert status == (130 if interrupted else 2 if shown.startswith("lingraft: ") else 0), (command, output)
            assert re.search(pattern(shown), output, flags=re.DOTALL), (command, output)


@pytest.mark.parametrize("page", ["example.md", "api.md"])
def test_a_reader_can_follow(page: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    follow(page, monkeypatch, capfd)


def test_the_example_is_shortened_where_it_takes_long() -> None:
    text = (DOCS / "example.md").read_text(encoding="utf-8")
    assert [written for written in SHORTER if written not in text] == []


def test_the_example_names_the_stages_in_their_order() -> None:
    stages = [stage.replace("phase.train", "phase.NAME") for stage in order(load_recipe("copy"))]
    listed = (DOCS / "example.md").read_text(encoding="utf-8").partition("The stages are")[2].partition("If such a run")[0]
    assert re.findall("`(.+?)`", listed) == stages


def test_example_recipes_are_valid(tmp_path: Path) -> None:
    texts = [block for _, block in blocks("recipes.md", "toml")]
    (tmp_path / "mine.toml").write_text(texts[0], encoding="utf-8")
    assert len(texts) == 1
    assert load_recipe(str(tmp_path / "mine.toml")).phases["train"].switch[0].train == ["all"]


def test_recipe_reference_is_what_the_settings_say() -> None:
    specification = importlib.util.spec_from_file_location("recipe_reference", TOP / "tools" / "recipe_reference.py")
    assert specification
    assert specification.loader
    tool = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(tool)
    page = (DOCS / "recipes.md").read_text(encoding="utf-8")
    assert page.partition(tool.BEGIN)[2].partition(tool.END)[0].strip() == tool.reference(), "run tools/recipe_reference.py"


def test_pages_name_every_part_recipe_and_bundled_language() -> None:
    recipes, parts, text = ((DOCS / name).read_text(encoding="utf-8") for name in ("which-recipe.md", "recipes.md", "text.md"))
    assert [name for name in PARTS if f"| `{name}` |" not in parts] == []
    assert [code for code in bundled.LANGUAGES if f"`{code}`" not in text] == []
    shipped = sorted(path.stem for path in (TOP / "src" / "lingraft" / "recipes").glob("*.toml"))
    assert [name for name in shipped if f"**`{name}`**" not in recipes] == []


def commands(page: str) -> Iterator[list[str]]:
    """The lingraft commands in a page's blocks, fenced or indented, as words; not those that leave something out with … or [ ]."""
    text = re.sub(r"\\\n\s*", "", (TOP / page).read_text(encoding="utf-8"))
    for line in re.findall(r"^(?:\$ |    )(?:[^|\n]*\| )?(lingraft .*)$", text, flags=re.MULTILINE):
        if not re.search(r"[…\[]", line.split("--set")[0]):
            yield shlex.split(re.sub(r"\s#.*", "", line))


@pytest.mark.parametrize("page", PAGES)
def test_commands_have_the_options_and_keys_that_pages_give_them(page: str) -> None:
    for _, *words in commands(page):
        command: Any = typer.main.get_command(app)
        while words and hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        given = command.make_context(command.name, words).params
        if given.get("recipe") and not given["recipe"].endswith(".toml"):
            load_recipe(given["recipe"], given["changes"] or [])
