"""See what pruning took out of a language model: prune it, measure it, and find the neurons behind the loss.

    prune, evaluate, attribute, explain    run one stage in this process
    open_attribution                       open an attribution that exists
    connect                                create a client of a running server
    PrunescopeError                        the exception that all of these raise; its text is one line

Importing this package is fast and does not import torch: each name's module is imported when the name is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunescope.attributions import open_attribution
    from prunescope.client import connect
    from prunescope.errors import PrunescopeError
    from prunescope.local import attribute, evaluate, explain, prune

__all__ = ["PrunescopeError", "attribute", "connect", "evaluate", "explain", "open_attribution", "prune"]

if not TYPE_CHECKING:  # with a module __getattr__, a type checker would accept every name
    _MODULES = {
        "PrunescopeError": "errors",
        "attribute": "local",
        "connect": "client",
        "evaluate": "local",
        "explain": "local",
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
