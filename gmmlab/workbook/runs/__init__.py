"""Runs: a notebook executed with its parameters, and the folder that it leaves.

Names are loaded when they are first used: the fork server is a module of this package, and must
import as little as possible.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={"runner": ["Maker", "Outcome", "Settings", "Task", "command", "run"]},
)
