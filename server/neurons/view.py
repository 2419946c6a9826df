"""The view of a neuron's or a layer's page: how its texts and activations are shown, as chosen in the query string."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar, cast

from prunescope.jobs.problems import bad_field, unknown_name
from prunescope.server.attributions.documents import Example, ExampleSummary, VariantSummary
from prunescope.server.site.palette import Curve
from prunescope.server.site.parts import Option, Picker, picker

ACTIVATIONS = {"relu": "max(0, x)", "raw": "signed, as recorded", "abs": "magnitude"}
SCALES = {"shared": "Shared scale", "model": "Per model"}
NEURON_SCALES = {**SCALES, "neuron": "Per neuron"}
"""``neuron``: one scale for all texts and models of the neuron."""
CURVES: dict[Curve, str] = {"linear": "Linear", "log": "Log", "gamma": "Gamma"}
WINDOWS = {"full": "Full text", "16": "± 16"}
PROMPTS = {"folded": "Prompt folded", "shown": "Prompt shown"}
"""Whether the tokens that all texts begin and end with are shown."""
BREAKS = {"kept": "Line breaks", "joined": "No line breaks"}
ALL = "all"
"""The value of ``variant`` for all pruned variants side by side."""
PANES = {"all": "All three", "dense": "Dense", "pruned": "Pruned", "difference": "Difference"}


@dataclass(frozen=True)
class View:
    """The query parameters of a neuron's or a layer's page. ``example`` is an index, ``token`` the position of the
    chosen token."""

    example: int = 0
    variant: str = ""
    activation: str = "relu"
    scale: str = "shared"
    curve: Curve = "linear"
    window: str = "full"
    show: str = "all"
    token: int | None = None


VIEW = tuple(field.name for field in fields(View))
"""The names of the query parameters."""


@dataclass(frozen=True)
class Span:
    """The tokens from position ``first`` to ``last``; ``12-18`` in addresses."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    def __contains__(self, position: int) -> bool:
        return self.first <= position <= self.last


@dataclass(frozen=True)
class NeuronView(View):
    """The query parameters of a neuron's page. ``span``: the selected tokens."""

    prompt: str = "folded"
    breaks: str = "kept"
    span: Span | None = None


NEURON_VIEW = tuple(field.name for field in fields(NeuronView))


def read_view(
    query: Mapping[str, str],
    *,
    examples: Sequence[int],
    variants: Sequence[str],
    activation: str,
    scales: Mapping[str, str] = SCALES,
    tokens: Callable[[int], int] | None = None,
) -> View:
    """Parse a query; missing parameters get their defaults. Problem 422 for a wrong value.

    ``examples`` are the existing indices, the default first (it may be repeated), ``variants`` are the names of the
    pruned variants (and ALL where all can be shown), ``activation`` is the attribution's, ``scales`` are those of the
    page, ``tokens`` returns the number of tokens of an example (None: the token's position is not checked).
    """
    chosen = int(_one_of(query, "example", [*map(str, examples)]))
    return View(
        example=chosen,
        variant=_one_of(query, "variant", variants),
        activation=_one_of(query, "activation", [activation, *ACTIVATIONS]),
        scale=_one_of(query, "scale", [*scales]),
        curve=cast(Curve, _one_of(query, "curve", [*CURVES])),
        window=_one_of(query, "window", [*WINDOWS]),
        show=_one_of(query, "show", [*PANES]),
        token=_token(query.get("token"), None if tokens is None else tokens(chosen)),
    )


def read_neuron_view(
    query: Mapping[str, str],
    *,
    examples: Sequence[int],
    variants: Sequence[str],
    activation: str,
    tokens: Callable[[int], int],
) -> NeuronView:
    """Parse the query of a neuron's page, like `read_view`. The variant can be ALL if there are several."""
    view = read_view(
        query,
        examples=examples,
        variants=[*variants, ALL] if len(variants) > 1 else variants,
        activation=activation,
        scales=NEURON_SCALES,
        tokens=tokens,
    )
    return NeuronView(
        **vars(view),
        prompt=_one_of(query, "prompt", [*PROMPTS]),
        breaks=_one_of(query, "breaks", [*BREAKS]),
        span=_span(query.get("span"), tokens(view.example)),
    )


def view_state(view: View, default: View) -> dict[str, str | int | None]:
    """The query parameters of ``view``, in a fixed order; None for values equal to those of ``default``."""
    values = {field.name: (getattr(view, field.name), getattr(default, field.name)) for field in fields(view)}
    changed = {name: value if value != usual else None for name, (value, usual) in values.items()}
    return {name: str(value) if isinstance(value, Span) else value for name, value in changed.items()}


def transformed(value: float, activation: str) -> float:
    """Apply relu or abs to a raw activation; raw leaves it unchanged."""
    match activation:
        case "relu":
            return max(0.0, value)
        case "abs":
            return abs(value)
        case _:
            return value


Text = TypeVar("Text", Example, ExampleSummary)


def example_picker(examples: Sequence[Text], current: int, href: Callable[[Text], str]) -> Picker:
    """The menu of an attribution's texts; ``current`` is the index of the shown text."""
    options = tuple(
        Option(f"{number} · {example.label or 'no label'}", href(example), example.index == current, example.text[:60])
        for number, example in enumerate(examples, 1)
    )
    place = next(number for number, option in enumerate(options, 1) if option.current)
    return Picker("Example", f"Example {place} of {len(options)}", options)


def variant_picker(
    variants: Sequence[VariantSummary], current: str, href: Callable[[str], str], *, side_by_side: bool = False
) -> list[Picker]:
    """The menu of the pruned variants, with ALL if they can be shown ``side_by_side``; an empty list if there is only
    one."""
    names = {variant.name: variant.label for variant in variants[1:]}
    if len(names) < 2:
        return []
    return [picker("Pruned model", {**names, ALL: "All variants"} if side_by_side else names, current, href)]


def _token(text: str | None, count: int | None) -> int | None:
    if text is None:
        return None
    place = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
    if place is None or (count is not None and place >= count):
        allowed = "from 0" if count is None else f"0 to {count - 1}"
        raise bad_field("token", text, allowed, f"{text[:40]!r} is not the place of a token, {allowed}")
    return place


def _span(text: str | None, count: int) -> Span | None:
    if text is None:
        return None
    first, _, last = text.partition("-")
    if all(part.isascii() and part.isdigit() and len(part) < 10 for part in (first, last)):
        span = Span(int(first), int(last))
        if span.first <= span.last < count:
            return span
    allowed = f"first-last, from 0 to {count - 1}"
    raise bad_field("span", text, allowed, f"{text[:40]!r} is no range of tokens: {allowed}")


def _one_of(query: Mapping[str, str], name: str, allowed: Sequence[str]) -> str:
    """The query's value, or the first allowed value if the query has none."""
    given = query.get(name)
    if given is not None and given not in allowed:
        known = list(dict.fromkeys(allowed))
        raise bad_field(name, given, known, unknown_name(given, known))
    return allowed[0] if given is None else given
