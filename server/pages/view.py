"""What a person can see of a neuron or a layer, as it stands in the query string; what is the default is left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from server.pages.shades import Curve

ACTIVATIONS = ("relu", "raw", "abs")
SCALES = ("shared", "model")
CURVES: tuple[Curve, ...] = ("linear", "log")
WINDOWS = ("full", "16")
PANES = ("all", "dense", "pruned", "difference")


@dataclass(frozen=True)
class View:
    """``token`` is the position of the chosen token, or None."""

    example: int = 0
    variant: str = ""
    activation: str = "relu"
    scale: str = "shared"
    curve: Curve = "linear"
    window: str = "full"
    token: int | None = None
    pane: str = "all"

    def with_changes(self, **changes: Any) -> "View":
        return replace(self, **changes)


def read_view(query: Mapping[str, str], *, examples: Sequence[int], variants: Sequence[str], activation: str) -> View:
    """The view a query asks for; what it does not name, or names wrongly, is the default.

    ``examples`` are the indexes that exist, ``variants`` the pruned ones' names, ``activation`` the attribution's own.
    """
    curve: Curve = "log" if query.get("curve") == "log" else "linear"
    example = _whole(query.get("example"))
    return View(
        example=example if example is not None and example in examples else examples[0],
        variant=_one_of(query.get("variant"), variants),
        activation=_one_of(query.get("activation"), [activation, *ACTIVATIONS]),
        scale=_one_of(query.get("scale"), SCALES),
        curve=curve,
        window=_one_of(query.get("window"), WINDOWS),
        token=_whole(query.get("token")),
        pane=_one_of(query.get("show"), PANES),
    )


def view_state(view: View, default: View) -> dict[str, str | int | None]:
    """The query of ``view``: only what differs from ``default``, in a fixed order."""
    return {
        "example": view.example if view.example != default.example else None,
        "variant": view.variant if view.variant != default.variant else None,
        "activation": view.activation if view.activation != default.activation else None,
        "scale": view.scale if view.scale != default.scale else None,
        "curve": view.curve if view.curve != default.curve else None,
        "window": view.window if view.window != default.window else None,
        "show": view.pane if view.pane != default.pane else None,
        "token": view.token,
    }


def transformed(value: float, activation: str) -> float:
    """A raw activation as the view shows it."""
    match activation:
        case "relu":
            return max(0.0, value)
        case "abs":
            return abs(value)
        case _:
            return value


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None


def _one_of(given: str | None, allowed: Sequence[str]) -> str:
    """``given`` when it is allowed, else the first that is."""
    return given if given is not None and given in allowed else allowed[0]
