"""Lines of the tables that lay two attributions side by side."""

from dataclasses import dataclass

from prunescope.server.comparisons.documents import LayerOverlap, OverAll, Overlap, SharedNeuron
from prunescope.server.site import formats
from prunescope.server.site.documents import Link


@dataclass(frozen=True)
class OverlapLine:
    """``share`` is what is shared, in percent of what could be; ``beyond``: more than chance gives in 95 % of cases."""

    name: str
    href: str | None
    of: str
    shared: str
    share: int
    expected: str
    within: str
    times: str
    p: str
    more: tuple[str, ...]
    beyond: bool


@dataclass(frozen=True)
class SharedLine:
    name: str
    first: Link
    second: Link
    first_rank: str
    second_rank: str
    first_word: str
    second_word: str


def share_of_layer(top: str) -> str:
    """``1 %`` of each layer's neurons, as it is shown."""
    return top.replace("%", f"{formats.SPACE}%")


def over_all_line(row: OverAll) -> OverlapLine:
    """Chance within the layers stands first: that both like the same layers is no agreement about neurons."""
    return overlap_line(f"best {share_of_layer(row.top)}", None, row.in_layers, (about(row.anywhere.expected),))


def layer_line(row: LayerOverlap) -> OverlapLine:
    """What both share in one layer, with q and the rank correlation of its Scores."""
    found = row.correlation
    return overlap_line(
        f"Layer {row.layer}",
        row.first_href,
        row.overlap,
        (formats.probability(row.q), formats.decimal(found.value if found else None, 2)),
    )


def overlap_line(name: str, href: str | None, found: Overlap, more: tuple[str, ...]) -> OverlapLine:
    """An overlap beside chance; `more` are the cells after it."""
    most = min(found.first, found.second)
    return OverlapLine(
        name=name,
        href=href,
        of=formats.count(most),
        shared=formats.count(found.shared),
        share=round(100 * found.shared / most) if most else 0,
        expected=about(found.expected),
        within=chance_range(found),
        times=times_chance(found),
        p=formats.probability(found.p),
        more=more,
        beyond=found.shared > found.high,
    )


def about(expected: float) -> str:
    """An expected number of neurons."""
    return formats.decimal(expected, 1) if expected < 100 else formats.count(round(expected))


def chance_range(found: Overlap) -> str:
    """What chance gives in 95 % of cases."""
    return f"{formats.count(found.low)} to {formats.count(found.high)}"


def times_chance(found: Overlap) -> str:
    """How many times what chance gives."""
    return formats.times(found.shared / found.expected) if found.expected else formats.NOTHING


def shared_line(row: SharedNeuron) -> SharedLine:
    """A neuron that is on top in both."""
    first, second = (Link(label=formats.decimal(each.score), href=each.href) for each in (row.first, row.second))
    return SharedLine(
        row.name,
        first,
        second,
        formats.count(row.first.rank),
        formats.count(row.second.rank),
        row.first.word or formats.NOTHING,
        row.second.word or formats.NOTHING,
    )
