"""The house rules that a program can check: which way imports run, what is exported, what the wheel holds, how long things get."""

import ast
import graphlib
import importlib.metadata
import itertools
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import lingraft

TOP = Path(__file__).parent.parent
PACKAGE = TOP / "src" / "lingraft"
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path for path in sorted(PACKAGE.rglob("*.py"))
}
REQUIREMENTS = itertools.chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
DECLARED = {re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-") for requirement in REQUIREMENTS}

BASE = {"errors", "languages", "files"}
ROOMS = ["text", "vectors", "tokenizer", "embeddings", "model", "train", "evaluate"]
LATER = ["donors", "explorer", "cli"]
"""In order; each may import from those before it. Files beside the rooms (recipe, run, transfer…) stand between ROOMS and LATER."""

WITHOUT_TORCH = ("text", "tokenizer", "embeddings", "recipe", "report", "card", "plots", "run", "cli")


def level(module: str) -> int:
    """How far down the list a module stands; it may import from its own level and from lower ones."""
    room = module.split(".")[0].replace("__main__", "cli")
    if room in BASE:
        return 0
    if room in ROOMS:
        return 1 + ROOMS.index(room)
    return 1 + len(ROOMS) + (1 + LATER.index(room) if room in LATER else 0)


def imports(path: Path, *, inside_functions: bool = True) -> Iterator[str]:
    """Dotted names that a file imports; `from a import b` gives a.b. What only a type checker sees is left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = () if inside_functions else (ast.FunctionDef, ast.AsyncFunctionDef)
    hidden = [n for n in ast.walk(tree) if isinstance(n, functions) or (isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test))]
    skipped = {id(inner) for node in hidden for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def imported_modules(path: Path, **options: bool) -> set[str]:
    """Modules of this package that a file imports."""
    inner = [name.removeprefix("lingraft.") for name in imports(path, **options) if name.startswith("lingraft.")]
    return {name if name in MODULES else name.rpartition(".")[0] for name in inner} & MODULES.keys()


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module: str) -> None:
    wrong = [name for name in imported_modules(MODULES[module]) if level(name) > level(module)]
    assert not wrong, f"{module} imports {wrong}, which stand after it"


def test_no_import_loops() -> None:
    graph = {module: imported_modules(path, inside_functions=False) - {module} for module, path in MODULES.items()}
    tuple(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("module", [module for module in MODULES if module.split(".")[0] in WITHOUT_TORCH])
def test_torch_is_imported_only_where_it_works(module: str) -> None:
    roots = {name.split(".")[0] for name in imports(MODULES[module], inside_functions=False)}
    assert not roots & {"torch", "accelerate"}


def test_rows_need_arrays_only() -> None:
    found = {name.split(".")[0] for module, path in MODULES.items() if module.startswith("embeddings") for name in imports(path)}
    assert found - sys.stdlib_module_names <= {"numpy", "scipy", "pydantic", "lingraft"}


def test_every_import_is_a_declared_dependency() -> None:
    distributions = {
        "yaml": "pyyaml",
        "jinja2": "jinja2",
        "markupsafe": "jinja2",
        "huggingface_hub": "transformers",
        "click": "typer",
        "thot": "sil-thot",
        "sklearn": "scikit-learn",
        "ufal": "ufal.chu-liu-edmonds",
    }
    found = {name.split(".")[0] for path in MODULES.values() for name in imports(path)} - sys.stdlib_module_names - {"lingraft"}
    assert {distributions.get(name, name.replace("_", "-")) for name in found} <= DECLARED


def test_light_imports_stay_light() -> None:
    code = "import sys, lingraft, lingraft.cli; print([m for m in ('torch', 'transformers', 'datasets', 'matplotlib') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_exported_names_exist() -> None:
    assert {"Run", "rows", "transfer"} <= set(lingraft.__all__)
    for name in lingraft.__all__:
        getattr(lingraft, name)


def test_transfer_is_the_function_also_after_its_module_was_imported() -> None:
    code = "import lingraft.cli, lingraft.transfer, lingraft; assert not isinstance(lingraft.transfer, type(lingraft))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("module", MODULES)
def test_functions_and_files_stay_short(module: str) -> None:
    text = MODULES[module].read_text(encoding="utf-8")
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [node.name for node in functions if node.end_lineno and node.end_lineno - node.lineno >= 80] == []
    assert text.count("\n") <= 360


def test_versions_agree() -> None:
    version = PROJECT["version"]
    assert importlib.metadata.version("lingraft") == version
    assert yaml.safe_load((TOP / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version
    headings = re.findall(r"^## \[?([^\s\]]+)", (TOP / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert headings[0] in (version, "Unreleased")


def test_pins_are_exact_and_name_every_dependency() -> None:
    lines = [line for line in (TOP / "constraints.txt").read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    pins = dict(line.lower().replace("_", "-").split("==") for line in lines)
    assert pins.keys() >= DECLARED
    assert pins["torch"] == "2.13.0"
    assert not [name for name in pins if name.startswith(("nvidia", "cuda", "triton"))]


def test_links_inside_the_documents_lead_somewhere() -> None:
    for page in [*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page}: {link}"


def test_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=TOP, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    expected = {
        f"lingraft/{path.relative_to(PACKAGE)}" for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.startswith("lingraft/")} == expected
    assert {name.split("/")[0] for name in names} == {"lingraft", f"lingraft-{PROJECT['version']}.dist-info"}
    assert {"lingraft/templates/report.html", "lingraft/recipes/copy.toml", "lingraft/data/libreoffice_help/LICENSE"} <= names
    assert {"lingraft/data/wals/README.md", "lingraft/data/wals/values.tsv.xz"} <= names  # its licence asks for the attribution
    assert sum("/licenses/" in name for name in names) == 3  # the code's, the bundled corpus's, and d3's
