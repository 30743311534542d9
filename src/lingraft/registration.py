"""Tells transformers of lingraft's own configurations when it loads its auto classes, so that `import lingraft` need not import it."""

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

AUTO = "transformers.models.auto"
AFTER = {f"{AUTO}.configuration_auto": f"{AUTO}.modeling_auto", f"{AUTO}.modeling_auto": "lingraft.model.trelm_configs"}
"""Module of transformers -> what is imported after it."""


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of AFTER where they are, each once, and has them followed."""

    def __init__(self) -> None:
        self.awaited = set(AFTER)

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in self.awaited:
            return None
        self.awaited.remove(name)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def both(module: ModuleType) -> None:
                execute(module)
                importlib.import_module(AFTER[name])

            spec.loader.exec_module = both  # type: ignore[method-assign]
        return spec


def register() -> None:
    """Register lingraft's configurations now where transformers has loaded its auto classes, else when it does."""
    loaded = [name for name in AFTER if name in sys.modules]
    for name in loaded:
        importlib.import_module(AFTER[name])
    if not loaded:
        sys.meta_path.insert(0, _Finder())
