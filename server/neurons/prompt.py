"""The prompt around the texts of an attribution: the tokens with which all of them begin and end."""

from collections.abc import Sequence
from itertools import takewhile

from prunescope.server.attributions.documents import Example

MIN_FOLDED = 4
"""Minimum number of tokens, without special ones, that are folded."""


def prompt_ends(examples: Sequence[Example]) -> tuple[int, int]:
    """The numbers of tokens at the beginning and at the end that are the same in all texts, from MIN_FOLDED on.

    An influential token belongs to no prompt. Where the tokens at the end contain a newline, the prompt begins there,
    since texts that all end with a full stop have that in common, too.
    """
    if len(examples) < 2:
        return 0, 0
    shortest = min(len(example.tokens) for example in examples)

    def shared(places: Sequence[int]) -> list[int]:
        first = examples[0]
        return list(
            takewhile(
                lambda place: all(
                    example.token_ids[place] == first.token_ids[place] and not example.influential[place]
                    for example in examples
                ),
                places,
            )
        )

    before = len(shared(range(shortest)))
    after = shared(range(-1, -shortest - 1, -1))  # from the last token on
    newlines = [count for count, place in enumerate(after, 1) if "\n" in examples[0].tokens[place]]
    ends = (before, newlines[-1] if newlines else len(after))
    if sum(ends) >= shortest:
        return 0, 0
    special = examples[0].special
    begun = sum(not on for on in special[: ends[0]])
    ended = sum(not on for on in special[len(special) - ends[1] :])
    return ends[0] if begun >= MIN_FOLDED else 0, ends[1] if ended >= MIN_FOLDED else 0
