"""lingraft grafts pretrained language models onto other languages.

import lingraft
run = lingraft.transfer("FacebookAI/roberta-base", to="sw", text="sw.txt", out="runs/sw")
model, tokenizer = run.load()              # plain transformers objects
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from lingraft.registration import register

_HOMES = {
    "LingraftError": "lingraft.errors",
    "NewRows": "lingraft.embeddings",
    "Recipe": "lingraft.recipe",
    "Run": "lingraft.run",
    "export": "lingraft.export",
    "finetune": "lingraft.finetune",
    "grafts": "lingraft.grafts",
    "load": "lingraft.model.load",
    "load_recipe": "lingraft.recipe",
    "pretrain": "lingraft.pretrain",
    "rows": "lingraft.api",
    "swap": "lingraft.swap",
    "transfer": "lingraft.transfer",
    "translate": "lingraft.translation",
    "write_report": "lingraft.report",
}
__all__ = [
    "LingraftError",
    "NewRows",
    "Recipe",
    "Run",
    "export",
    "finetune",
    "grafts",
    "load",
    "load_recipe",
    "pretrain",
    "rows",
    "swap",
    "transfer",
    "translate",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import lingraft` and `lingraft --help` are quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lingraft' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


class _Package(ModuleType):
    """Importing the module lingraft.transfer must not hide the function of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, getattr(value, name) if name in _HOMES and isinstance(value, ModuleType) else value)


sys.modules[__name__].__class__ = _Package
register()
