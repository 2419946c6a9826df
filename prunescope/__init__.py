"""See what pruning took out of a language model: prune it, measure it, and find the neurons behind the loss.

    prune, evaluate, attribute, explain, corpus    run one stage in this process
    open_attribution, open_corpus                  open a result that exists
    connect                                        create a client of a running server
    PrunescopeError                                the exception that all of these raise; its text is one line

Importing this package is fast and does not import torch: each name's module is imported when the name is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunescope.attributions import open_attribution
    from prunescope.client import connect
    from prunescope.corpora import open_corpus
    from prunescope.errors import PrunescopeError
    from prunescope.local import attribute, corpus, evaluate, explain, prune

__all__ = [
    "PrunescopeError",
    "attribute",
    "connect",
    "corpus",
    "evaluate",
    "explain",
    "open_attribution",
    "open_corpus",
    "prune",
]

if not TYPE_CHECKING:  # with a module __getattr__, a type checker would accept every name
    _MODULES = {
        "PrunescopeError": "errors",
        "attribute": "local",
        "connect": "client",
        "corpus": "local",
        "evaluate": "local",
        "explain": "local",
        "open_attribution": "attributions",
        "open_corpus": "corpora",
        "prune": "local",
    }

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
