"""The prompt is what all texts begin and end with, and can be folded on the page and in files."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from prunescope.server.attributions.documents import Example
from prunescope.server.neurons.documents import NeuronDocument
from prunescope.server.neurons.page import default_view
from prunescope.server.neurons.prompt import MIN_FOLDED, prompt_ends
from prunescope.server.neurons.reading import read_examples
from prunescope.server.neurons.view import NeuronView, Span
from tests.server.conftest import ATTRIBUTION
from tests.server.made_up import MadeUp


def example(index: int, tokens: Sequence[str], influential: Sequence[int] = ()) -> Example:
    return Example(
        index=index,
        label=None,
        text="".join(tokens),
        tokens=list(tokens),
        token_ids=[ord(token[0]) for token in tokens],
        influential=[place in influential for place in range(len(tokens))],
        special=[token == "<s>" for token in tokens],
        sinks=[place == 0 for place in range(len(tokens))],
        words=[],
    )


def texts(*middles: str, before: str = "", after: str = "", influential: Sequence[int] = ()) -> list[Example]:
    return [
        example(index, ["<s>", *before, *middle, *after], influential if index == 0 else ())
        for index, middle in enumerate(middles)
    ]


@given(
    middles=st.lists(st.text("abc", min_size=2, max_size=8), min_size=2, max_size=4, unique=True),
    before=st.text("xyz", min_size=MIN_FOLDED, max_size=9),
    after=st.text("XYZ", min_size=MIN_FOLDED, max_size=9),
)
def test_what_all_texts_share_is_the_prompt(middles: list[str], before: str, after: str) -> None:
    marked = [f"{number}{middle}{number}" for number, middle in enumerate(middles)]
    assert prompt_ends(texts(*marked, before=before, after=after)) == (1 + len(before), len(after))


@pytest.mark.parametrize(
    ("examples", "ends"),
    [
        (texts("one", after="prompt"), (0, 0)),  # of one text nothing is known
        (texts("one", "one", after="prompt"), (0, 0)),  # the same text twice
        (texts("ab", "cd", after="Q:"), (0, 0)),  # too short
        (texts("ab.", "cd.", after="\nAnswer:"), (0, 8)),  # the full stops are the texts'
        (texts("ab", "cd", after="prompt", influential=[4]), (0, 4)),  # an influential token is no prompt
    ],
)
def test_what_is_no_prompt(examples: list[Example], ends: tuple[int, int]) -> None:
    assert prompt_ends(examples) == ends


@pytest.fixture
def folding(client: TestClient, made_up: MadeUp) -> NeuronDocument:
    """The neuron with texts that end alike."""
    neuron = NeuronDocument.model_validate(client.get(f"/api/v1/attributions/{ATTRIBUTION}/neurons/1/7").json())
    tail = ["\n", "The", " an", "swer", ":"]
    examples = [
        each.model_copy(
            update={
                "tokens": [*each.tokens[:-5], *tail],
                "token_ids": [*each.token_ids[:-5], 1, 2, 3, 4, 5],
                "influential": [*each.influential[:-5], *[False] * 5],
            }
        )
        for each in neuron.examples
    ]
    return neuron.model_copy(update={"examples": examples})


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, 6),
        ({"prompt": "shown"}, 11),
        ({"token": 3}, 6),
        ({"token": 9}, 11),  # a chosen token is never hidden
        ({"span": Span(2, 4)}, 6),
        ({"span": Span(4, 8)}, 11),
    ],
)
def test_the_prompt_is_folded_unless_it_holds_what_was_chosen(
    folding: NeuronDocument, changes: dict[str, object], shown: int
) -> None:
    default = default_view(folding)
    (reading,) = read_examples(folding, NeuronView(**{**vars(default), "example": 0, **changes}), [0])
    assert list(reading.positions) == list(range(shown))
    for group in reading.groups():
        for pane in group:
            assert (len(pane.cells), pane.before, pane.after) == (shown, 0, 11 - shown)


def test_joined_lines_have_no_newlines(client: TestClient, made_up: MadeUp) -> None:
    page = client.get(f"/attributions/{ATTRIBUTION}/neurons/1/7?example=0&breaks=joined").text
    assert 'class="nl"' not in page
    assert 'class="nl"' in client.get(f"/attributions/{ATTRIBUTION}/neurons/1/7?example=0").text
    for form, mark in (("svg", "↵"), ("html", "↵")):
        kept = client.get(f"/api/v1/attributions/{ATTRIBUTION}/neurons/1/7/heatmap.{form}?example=0").text
        joined = client.get(
            f"/api/v1/attributions/{ATTRIBUTION}/neurons/1/7/heatmap.{form}?example=0&breaks=joined"
        ).text
        drawn = [len(re.findall(f">[^<“]*{mark}", text)) for text in (kept, joined)]
        assert drawn[0] > 0 == drawn[1]
