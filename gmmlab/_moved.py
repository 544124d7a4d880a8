"""Old names of modules, which still import."""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

#: old name: the module that has its public names now
MODULES = {
    "acceleration": "convergence",
    "coordinates": "convergence",
    "cross_validation": "selection.cross_validation",
    "degeneracy": "engine.degeneracy",
    "families": "covariance",
    "grid": "selection.grid",
    "information": "convergence",
    "intervals": "inference",
    "likelihood_ratio": "selection",
    "many_starts": "search",
    "merging": "selection.merging",
    "missing": "engine.missing",
    "neighbours": "selection.split_merge",
    "parsimonious": "covariance.estimation",
    "player": "plots.animation",
    "samples": "engine",
    "scale": "engine",
    "space": "plots.interactive",
    "sums": "engine",
}


def module(name: str) -> ModuleType:
    """Return the module that replaces an old one."""
    return import_module(f"gmmlab.{MODULES[name]}")


class _Finder:
    """Import an old name, such as ``gmmlab.player``, as the module that replaces it."""

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        package, _, old = name.partition(".")
        known = package == "gmmlab" and old in MODULES
        return ModuleSpec(name, self) if known else None

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python create an empty module, which `exec_module` replaces."""

    def exec_module(self, empty: ModuleType) -> None:
        """Replace the empty module."""
        sys.modules[empty.__name__] = module(empty.__name__.partition(".")[2])


sys.meta_path.append(_Finder())
