"""Context managers that read or change the inputs of a model's modules with forward hooks."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

K = TypeVar("K")

Changed = tuple[tuple[Any, ...], dict[str, Any]]


@contextmanager
def record_inputs(modules: Mapping[K, nn.Module], receive: Callable[[K, Tensor], None]) -> Iterator[None]:
    """Inside the block, call `receive(key, input)` before each call of each module.

    The input is the module's first argument; it is not detached, copied or moved. An exception of `receive` ends the
    model's call and propagates. The hooks are removed when the block ends.

    >>> with record_inputs({3: down_projection(layers[3])}, lambda layer, neurons: seen.append(neurons)):
    ...     model(ids)
    """

    def hook_for(key: K) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            receive(key, args[0] if args else next(iter(kwargs.values())))

        return hook

    with _hooks({module: hook_for(key) for key, module in modules.items()}):
        yield


@contextmanager
def change_inputs(modules: Mapping[K, nn.Module], change: Callable[[K, Tensor], Tensor]) -> Iterator[None]:
    """Inside the block, replace each module's first argument by `change(key, input)`.

    `change` must return a new tensor and not modify its argument, which may be the input of other modules too.
    """

    def hook_for(key: K) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], Changed]:
        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Changed:
            if args:
                return (change(key, args[0]), *args[1:]), kwargs
            first = next(iter(kwargs))
            return args, {**kwargs, first: change(key, kwargs[first])}

        return hook

    with _hooks({module: hook_for(key) for key, module in modules.items()}):
        yield


@contextmanager
def _hooks(hooks: Mapping[nn.Module, Callable[..., Any]]) -> Iterator[None]:
    handles: list[RemovableHandle] = []
    try:
        for module, hook in hooks.items():
            handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()
