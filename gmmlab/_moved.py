"""Modules that have moved: their old names still import."""

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

#: old name: where its public names are now
MODULES = {
    "acceleration": "convergence",
    "coordinates": "convergence",
    "cross_validation": "selection.cross_validation",
    "families": "covariance",
    "grid": "selection.grid",
    "information": "convergence",
    "intervals": "inference",
    "likelihood_ratio": "selection",
    "many_starts": "search",
    "merging": "selection.merging",
    "neighbours": "selection.split_merge",
    "parsimonious": "covariance.estimation",
    "player": "plots.animation",
    "samples": "engine",
    "scale": "engine",
    "space": "plots.interactive",
    "sums": "engine",
}


def module(name: str) -> ModuleType:
    """Return the module that has taken the place of an old one."""
    return import_module(f"gmmlab.{MODULES[name]}")


class _Finder(MetaPathFinder, Loader):
    """Imports ``gmmlab.player`` as the module of its new name."""

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        package, _, old = name.partition(".")
        known = package == "gmmlab" and old in MODULES
        return ModuleSpec(name, self) if known else None

    def create_module(self, spec: ModuleSpec) -> None:
        """Have Python make an empty module; `exec_module` replaces it."""

    def exec_module(self, empty: ModuleType) -> None:
        """Put the module of the new name in the place of the empty one."""
        sys.modules[empty.__name__] = module(empty.__name__.partition(".")[2])


sys.meta_path.append(_Finder())
