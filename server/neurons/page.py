"""The page of a neuron (the paper's Figure 1); its address holds the whole view."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from prunescope.server import urls
from prunescope.server.attributions.own_text import TextPanel
from prunescope.server.neurons.documents import Neighbour, NeuronControls, NeuronDocument, Variant
from prunescope.server.neurons.spread import SpreadCard, spread_card
from prunescope.server.neurons.tokens import Pane, Reading, Token, read_example, telling_text, token_rows
from prunescope.server.neurons.view import ACTIVATIONS, View, example_picker, read_view, view_state
from prunescope.server.site import formats
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Fact, Href, Moves, Option, Picker, Step
from prunescope.store.attributions.documents import MaskedFraction

MAX_WORDS = 12
TELLING = "telling"
"""The default example in addresses of older versions."""


@dataclass(frozen=True)
class WordLine:
    """A word's mean activations; ``change`` is relative to the dense model."""

    word: str
    dense: float
    pruned: float

    @property
    def change(self) -> float | None:
        return None if self.dense <= 0 else (self.pruned - self.dense) / self.dense


@dataclass(frozen=True)
class NeuronPage:
    """The context of ``neurons/neuron.html``. Without pickers, ``fixed`` says in words what the view shows."""

    frame: Frame
    document: NeuronDocument
    chips: tuple[Option, ...]
    facts: tuple[Fact, ...]
    toggles: tuple[Picker, ...]
    menus: tuple[Picker, ...]
    fixed: tuple[str, ...]
    moves: tuple[Moves, ...]
    in_rank: Moves | None
    exports: tuple[Option, ...]
    panes: tuple[Pane, ...]
    told: Token | None
    chosen: bool  # the token is the one that the address names
    answering_href: str | None
    words: list[WordLine]
    words_note: str
    masked: MaskedFraction | None
    controls: NeuronControls | None
    spread: SpreadCard | None
    data: dict[str, object]
    own: TextPanel | None


def default_view(document: NeuronDocument) -> View:
    """The view of an address without a query: the text with the largest loss on the neuron's own word in any pruned
    model, and the first pruned model."""
    dense, *pruned = document.variants
    example = telling_text(document.examples, dense, pruned, document.word, document.activation)
    return View(example=example, variant=pruned[0].name, activation=document.activation)


def neuron_view(document: NeuronDocument, query: Mapping[str, str]) -> View:
    """The view that an address asks for. Problem 422 for a value that is wrong."""
    default = default_view(document)
    lengths = {example.index: len(example.tokens) for example in document.examples}
    # Older addresses spell the default out.
    spelled = {key: value for key, value in query.items() if (key, value) != ("example", TELLING)}
    return read_view(
        spelled,
        examples=[*lengths],
        variants=[variant.name for variant in document.variants[1:]],
        activation=document.activation,
        example=default.example,
        tokens=lengths.__getitem__,
    )


def neuron_page(
    document: NeuronDocument, view: View, frame: Frame, here: str, *, own: TextPanel | None = None
) -> NeuronPage:
    """The context of a neuron's page. ``here`` is the page's path, or that of the share link it was opened by."""
    default = default_view(document)
    place = next(place for place, example in enumerate(document.examples) if example.index == view.example)
    reading = read_example(document, view, place)
    pruned, told = reading.pruned, reading.told

    def href(**changes: urls.State) -> str:
        return urls.with_state(here, **view_state(view.with_changes(**changes), default))

    state = view_state(view, default)
    words, words_note = _words(document, reading)
    toggles = _toggles(view, href)
    examples = example_picker(document.examples, view.example, lambda example: href(example=example.index, token=None))
    label = reading.example.label
    menus = (
        replace(examples, shown=f"{examples.shown} · {label}") if label else examples,
        *_variants(document, view, pruned, href),
        _activations(view, href),
    )
    asked = {"example": view.example, "token": None if told is None else told.position}
    return NeuronPage(
        frame=frame,
        document=document,
        chips=() if frame.shared else _chips(document, href),
        facts=_facts(document, pruned),
        toggles=() if frame.shared else toggles,
        menus=() if frame.shared else menus,
        fixed=_fixed(toggles, menus) if frame.shared else (),
        moves=() if frame.shared else _moves(document, state),
        in_rank=None if frame.shared else _in_rank(document, state),
        exports=_exports(document, view),
        panes=reading.panes(),
        told=told,
        chosen=reading.chosen is not None,
        answering_href=None if frame.shared or told is None else urls.answering(document.attribution, **asked),
        words=words,
        words_note=words_note,
        masked=document.masked_fractions.get(pruned.name),
        controls=document.controls.get(pruned.name),
        spread=spread_card(document, pruned),
        data={
            "rows": token_rows(reading),
            "chosen": None if reading.chosen is None else reading.chosen.position,
            "neuron": document.name,
        },
        own=own,
    )


def _words(document: NeuronDocument, reading: Reading) -> tuple[list[WordLine], str]:
    """The words of the text that is shown, or of all texts where it has none, the largest loss first; and a note that
    says which."""
    tokens = reading.tokens
    here = [
        WordLine(
            word.word,
            sum(tokens[place].dense for place in word.positions) / len(word.positions),
            sum(tokens[place].pruned for place in word.positions) / len(word.positions),
        )
        for word in reading.example.words
        if word.positions
    ]
    everywhere = [
        WordLine(word.word, before, after)
        for word in document.words
        if (before := word.values.get("dense")) is not None
        and (after := word.values.get(reading.pruned.name)) is not None
    ]
    rows = sorted(here or everywhere, key=lambda row: row.pruned - row.dense)
    left = len(rows) - MAX_WORDS
    note = "in this text" if here else "in all texts"
    return rows[:MAX_WORDS], f"{note}, {left} more not shown" if left > 0 else note


def _chips(document: NeuronDocument, href: Href) -> tuple[Option, ...]:
    """The neuron's own word and the next by activation; each links to its first text."""
    strongest = sorted(document.words, key=lambda word: -(word.values.get("dense") or 0.0))
    names = [word for word in [document.word, *(entry.word for entry in strongest)] if word]
    where = {
        word.word: (example.index, word.positions[0])
        for example in reversed(document.examples)
        for word in example.words
        if word.positions
    }
    return tuple(
        Option(name, href(example=where[name][0], token=where[name][1]), False)
        for name in dict.fromkeys(names)
        if name in where
    )[:3]


def _facts(document: NeuronDocument, pruned: Variant) -> tuple[Fact, ...]:
    facts = [Fact("Score", formats.decimal(document.score))]
    if document.lift is not None:
        facts.append(Fact("lift", f"{formats.decimal(document.lift, 1)}{formats.TIMES}"))
    if document.p_value is not None:
        least = 1 / (document.permutations + 1)
        shown = formats.decimal(document.p_value) if document.p_value >= 0.001 else f"{document.p_value:.1g}"
        lowest = ", the lowest they give" if document.p_value <= least * 1.0001 else ""
        facts.append(Fact("p", shown, f"by {formats.plural(document.permutations, 'permutation')}{lowest}"))
    if document.q_value is not None:
        facts.append(Fact("q", formats.activation(document.q_value), "by z, over all neurons"))
    if document.rank is not None:
        facts.append(Fact("rank", formats.count(document.rank), f"of {formats.count(document.neuron_count)}"))
    drop = document.drops.get(pruned.name)
    if document.word is not None and drop is not None:
        facts.append(Fact(f"on “{document.word}”", formats.lost(drop), "after pruning"))
    return tuple(facts)


def _toggles(view: View, href: Href) -> tuple[Picker, ...]:
    def toggle(label: str, key: str, values: tuple[tuple[str, str], ...]) -> Picker:
        now = getattr(view, key)
        return Picker(label, "", tuple(Option(name, href(**{key: value}), value == now) for value, name in values))

    return (
        toggle("Scale", "scale", (("shared", "Shared scale"), ("model", "Per model"))),
        toggle("Curve", "curve", (("linear", "Linear"), ("log", "Log"))),
        toggle("Text", "window", (("full", "Full text"), ("16", "± 16"))),
    )


def _fixed(toggles: tuple[Picker, ...], menus: tuple[Picker, ...]) -> tuple[str, ...]:
    """The settings of a shared view as texts, which stand in place of the controls."""
    return (
        *(menu.shown for menu in menus),
        *(each.label for picker in toggles for each in picker.options if each.current),
    )


def _variants(document: NeuronDocument, view: View, pruned: Variant, href: Href) -> tuple[Picker, ...]:
    others = document.variants[1:]
    if len(others) < 2:
        return ()
    options = tuple(
        Option(variant.label, href(variant=variant.name), variant.name == view.variant) for variant in others
    )
    return (Picker("Pruned model", pruned.label, options),)


def _activations(view: View, href: Href) -> Picker:
    notes = {"relu": "max(0, x)", "raw": "signed, as recorded", "abs": "magnitude"}
    options = tuple(Option(name, href(activation=name), name == view.activation, notes[name]) for name in ACTIVATIONS)
    return Picker("Activation", view.activation, options)


def _moves(document: NeuronDocument, state: dict[str, str | int | None]) -> tuple[Moves, ...]:
    near = document.neighbours
    return (
        Moves(
            "neuron",
            _step(document, "ArrowLeft", "◂", "Previous neuron", near.previous, state),
            _step(document, "ArrowRight", "▸", "Next neuron", near.next, state),
        ),
        Moves(
            "layer",
            _step(document, "ArrowUp", "▴", "Same neuron, one layer up", near.layer_up, state),
            _step(document, "ArrowDown", "▾", "Same neuron, one layer down", near.layer_down, state),
        ),
    )


def _in_rank(document: NeuronDocument, state: dict[str, str | int | None]) -> Moves:
    near = document.neighbours
    return Moves(
        "rank",
        _step(document, "p", "Previous in rank", "Previous in rank", near.previous_in_rank, state),
        _step(document, "n", "Next in rank", "Next in rank", near.next_in_rank, state),
    )


def _step(
    document: NeuronDocument,
    key: str,
    sign: str,
    label: str,
    to: Neighbour | None,
    state: dict[str, str | int | None],
) -> Step:
    if to is None:
        return Step(key, sign, f"{label}: there is none", None)
    href = urls.neuron(document.attribution, to.layer, to.neuron, **state)
    return Step(key, sign, f"{label}: {to.name}", href)


def file_facts(document: NeuronDocument, view: View) -> str:
    """The line above the texts of an exported file: the page's facts and the settings of the view."""
    pruned = next(variant for variant in document.variants if variant.name == view.variant)
    facts = (" ".join(filter(None, (fact.before, fact.strong, fact.after))) for fact in _facts(document, pruned))
    toggles = _toggles(view, lambda **changes: "")
    shown = (each.label for picker in toggles for each in picker.options if each.current)
    return " · ".join([*facts, *((document.not_ranked,) if document.not_ranked else ()), view.activation, *shown])


def _exports(document: NeuronDocument, view: View) -> tuple[Option, ...]:
    """Links to the files of this view."""
    kinds = (
        ("csv", "CSV", "a row per token"),
        ("svg", "SVG", "the figure, for print"),
        ("png", "PNG", "the figure, for slides"),
        ("html", "HTML", "one file by itself"),
    )
    state = {
        **view_state(view.with_changes(pane="all"), default_view(document)),
        "example": view.example,
        "variant": view.variant,
        "activation": view.activation,
    }
    files = tuple(
        Option(name, urls.heatmap(document.attribution, document.layer, document.neuron, form, **state), False, note)
        for form, name, note in kinds
    )
    return (*files, Option("JSON", urls.api(document.href), False, "all texts, raw values"))
