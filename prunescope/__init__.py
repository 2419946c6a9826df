"""See what pruning took out of a language model: prune it, measure it, and find the neurons behind the loss.

    prune, evaluate, attribute    one stage in this process
    open_attribution              an attribution that was written before
    connect                       a client of a running server
    PrunescopeError               what all of them raise; its text is one line

Importing this package is quick and brings no torch: what a function needs is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunescope.attributions import open_attribution
    from prunescope.client import connect
    from prunescope.errors import PrunescopeError
    from prunescope.local import attribute, evaluate, prune

__all__ = ["PrunescopeError", "attribute", "connect", "evaluate", "open_attribution", "prune"]

if not TYPE_CHECKING:  # a type checker would take every other name for one that is there, too
    _MODULES = {
        "PrunescopeError": "errors",
        "attribute": "local",
        "connect": "client",
        "evaluate": "local",
        "open_attribution": "attributions",
        "prune": "local",
    }

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
