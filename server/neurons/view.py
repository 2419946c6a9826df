"""The view of a neuron or a layer that a query string asks for; defaults are left out of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from prunescope.jobs.problems import bad_field, unknown_name
from prunescope.server.attributions.documents import Example, ExampleSummary
from prunescope.server.site.palette import Curve
from prunescope.server.site.parts import Option, Picker

ACTIVATIONS = ("relu", "raw", "abs")
SCALES = ("shared", "model")
CURVES: tuple[Curve, ...] = ("linear", "log")
WINDOWS = ("full", "16")
PANES = ("all", "dense", "pruned", "difference")
VIEW = ("example", "variant", "activation", "scale", "curve", "window", "show", "token")
"""The query parameters of a view."""


@dataclass(frozen=True)
class View:
    """What a neuron's or a layer's page shows; ``token`` is the position of the chosen token."""

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


def read_view(
    query: Mapping[str, str],
    *,
    examples: Sequence[int],
    variants: Sequence[str],
    activation: str,
    example: int | None = None,
    tokens: Callable[[int], int] | None = None,
) -> View:
    """The view of a query; what the query does not name is the default. Problem 422 for a wrong value.

    ``examples`` are the indexes that exist, ``example`` the default one (None: the first), ``variants`` the pruned
    ones' names, ``activation`` the attribution's own, ``tokens`` how many tokens an example has.
    """
    default = examples[0] if example is None else example
    chosen = int(_one_of(query, "example", [str(default), *map(str, examples)]))
    return View(
        example=chosen,
        variant=_one_of(query, "variant", variants),
        activation=_one_of(query, "activation", [activation, *ACTIVATIONS]),
        scale=_one_of(query, "scale", SCALES),
        curve="log" if _one_of(query, "curve", CURVES) == "log" else "linear",
        window=_one_of(query, "window", WINDOWS),
        token=_token(query.get("token"), None if tokens is None else tokens(chosen)),
        pane=_one_of(query, "show", PANES),
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
    """A raw activation after the view's transform: relu, abs, or raw (unchanged)."""
    match activation:
        case "relu":
            return max(0.0, value)
        case "abs":
            return abs(value)
        case _:
            return value


Text = TypeVar("Text", Example, ExampleSummary)


def example_picker(examples: Sequence[Text], current: int, href: Callable[[Text], str]) -> Picker:
    """The menu of an attribution's texts; ``current`` is the index of the one that is shown."""
    options = tuple(
        Option(f"{number} · {example.label or 'no label'}", href(example), example.index == current, example.text[:60])
        for number, example in enumerate(examples, 1)
    )
    place = next(number for number, option in enumerate(options, 1) if option.current)
    return Picker("Example", f"Example {place} of {len(options)}", options)


def _token(text: str | None, count: int | None) -> int | None:
    if text is None:
        return None
    place = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
    if place is None or (count is not None and place >= count):
        allowed = "from 0" if count is None else f"0 to {count - 1}"
        raise bad_field("token", text, allowed, f"{text[:40]!r} is not the place of a token, {allowed}")
    return place


def _one_of(query: Mapping[str, str], name: str, allowed: Sequence[str]) -> str:
    """The query's value, or else the first that is allowed."""
    given = query.get(name)
    if given is not None and given not in allowed:
        known = list(dict.fromkeys(allowed))
        raise bad_field(name, given, known, unknown_name(given, known))
    return allowed[0] if given is None else given
