"""Names that tell things apart: what differs between things of one name is added to it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

SEPARATOR = " · "


@dataclass(frozen=True)
class Described:
    """A name, and facts that may be added to it, the most telling first; an empty one says nothing. All things that are
    told apart together have the same number of facts, and no two the same last one."""

    name: str
    facts: tuple[str, ...]


def told_apart(things: Sequence[Described]) -> list[str]:
    """A name for each, no two alike: of the facts in their order those by which it differs from others of its name.

    >>> told_apart([Described("wanda", ("c4", "1")), Described("wanda", ("ptb", "2")), Described("ria", ("c4", "3"))])
    ['wanda · c4', 'wanda · ptb', 'ria']
    """
    names = [thing.name for thing in things]
    for column in range(len(things[0].facts) if things else 0):
        alike = {name for name, count in Counter(names).items() if count > 1}
        if not alike:
            break
        shared = [(place, name, things[place].facts[column]) for place, name in enumerate(names) if name in alike]
        told: dict[str, set[str]] = {name: set() for name in alike}
        for _, name, fact in shared:
            told[name].add(fact)
        for place, name, fact in shared:
            if fact and len(told[name]) > 1:
                names[place] = f"{name}{SEPARATOR}{fact}"
    return names
