"""See what pruning took out of a language model: prune it, measure it, and find the neurons behind the loss.

`connect` speaks to a running server. Importing this package is quick and brings no torch.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prunescope.client import Client

__all__ = ["connect"]


def connect(address: str = "http://127.0.0.1:8000") -> "Client":
    """A client of the server at `address`, over which jobs are submitted and followed, and results fetched.

    Raises ValueError for what is no address; whether a server answers there is seen with the first question.
    """
    from prunescope.client import Client

    return Client(address)
