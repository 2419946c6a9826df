"""Looking at what flows into a model's modules while it runs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

K = TypeVar("K")


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

    handles: list[RemovableHandle] = []
    try:
        for key, module in modules.items():
            handles.append(module.register_forward_pre_hook(hook_for(key), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()
