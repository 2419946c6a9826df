"""Looking at, or changing, what flows into a model's modules while it runs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

K = TypeVar("K")

Changed = tuple[tuple[Any, ...], dict[str, Any]]


@contextmanager
def record_inputs(modules: Mapping[K, nn.Module], receive: Callable[[K, Tensor], None]) -> Iterator[None]:
    """Call `receive(key, input)` before each call of each module, as long as the block lasts.

    The input is the module's first argument, as it is: not detached, copied or moved. What `receive` raises stops the
    model's call and leaves the block. The hooks are removed however the block ends.

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
    """Call each module with `change(key, input)` in the place of its first argument, as long as the block lasts.

    `change` gives a tensor of its own back: the one it is handed may be read by other modules too.
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
