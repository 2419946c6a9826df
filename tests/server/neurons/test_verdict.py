"""The sentences at the top of a neuron's page, for every case; and the text with which the page opens."""

from html import unescape
from re import sub
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from prunescope.server.neurons.documents import NeuronDocument
from prunescope.server.neurons.page import default_view, file_facts, neuron_view
from prunescope.server.neurons.reading import read_examples
from prunescope.server.neurons.tokens import default_example
from prunescope.server.neurons.verdict import verdict
from prunescope.server.neurons.view import NeuronView, transformed
from prunescope.server.site.formats import definitions
from tests.server.conftest import ATTRIBUTION
from tests.server.made_up import MadeUp

PAGE = f"/attributions/{ATTRIBUTION}/neurons/1/7"
VALUES = [-1.0, 0.0, 0.25, 0.5, 2.0]
CALIBRATED = {"format": 3, "placebo": 200, "q_value": 4e-5, "rank": 2, "word": "badly"}


@pytest.fixture
def document(client: TestClient, made_up: MadeUp) -> NeuronDocument:
    """A neuron with a calibrated q that lost 96 % on its word in pruned-1 and gained 20 % in pruned-2."""
    found = NeuronDocument.model_validate(client.get(f"/api/v1{PAGE}").json())
    parts = {"pruned-1": {"own": 0.7, "upstream": 0.26}, "pruned-2": {"own": -0.25, "upstream": 0.05}}
    controls = {name: each.model_dump(by_alias=True) for name, each in found.controls.items()}
    for each in controls.values():
        each["activation_matched"] |= {"value": 0.09, "low": -0.02, "high": 0.15}
    changed = found.model_dump(by_alias=True) | CALIBRATED
    changed |= {
        "drops": {"pruned-1": 0.96, "pruned-2": -0.2},
        "intervals": {"pruned-1": (0.88, 0.99), "pruned-2": (-0.3, -0.1)},
        "drop_parts": parts,
        "controls": controls,
    }
    changed["masked_fractions"] = {name: {"in": 0.5, "out": 0.88} for name in parts}
    changed["masked_means"] = {name: {"in": 0.5, "out": 0.5} for name in parts}
    return NeuronDocument.model_validate(changed)


def said(document: NeuronDocument, variant: str = "pruned-1", **changes: Any) -> str:
    """The verdict as plain text; every term in it is in the glossary."""
    document = document.model_copy(update=changes)
    parts = verdict(document, next(each for each in document.variants if each.name == variant))
    assert {part.term for part in parts if part.term} <= definitions().keys()
    return "".join(part.text for part in parts).replace("\N{NO-BREAK SPACE}", " ")


def test_all_of_it_with_the_controls(document: NeuronDocument) -> None:
    first = document.variants[1].label
    assert said(document) == (
        "Responds to influential words, most to “badly”: significant at FDR 5 % (q 4.0e-05, p from 200 draws of "
        f"placebo words). {first} took 96 % of its activation on “badly” (95 % interval 88 to 99 %), 70 points by its "
        "own weights and 26 upstream; neurons of similar activation lost 9 % (\N{MINUS SIGN}2 to 15 %). That is more "
        "than theirs. The loss is measured on the texts that chose the neuron and its word, so a part of it is "
        "regression to the mean. 88 % of its output weights are pruned, 50 % of all neurons'."
    )


def test_another_variant_has_numbers_of_its_own(document: NeuronDocument) -> None:
    second, text = document.variants[2].label, said(document, "pruned-2")
    assert (
        f"{second} added 20 % to its activation on “badly” (95 % interval 10 to 30 %), 25 points by its own weights "
        "and \N{MINUS SIGN}5 upstream; neurons of similar activation lost 9 % (\N{MINUS SIGN}2 to 15 %). It lost "
        "nothing there. 88 %"
    ) in text
    assert "96 %" not in text and "regression" not in text


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"q_value": 0.31}, "No response to influential words is significant at FDR 5 % (q 0.3100, p from 200 draws"),
        ({"q_value": 0.05}, "No response to influential words is significant"),
        ({"q_value": None}, "Whether it responds to “badly” cannot be told: no p-value was computed."),
        ({"placebo": 0}, "Whether it responds to “badly” cannot be told without placebo words: random tokens call any"),
        ({"format": 2}, "Whether it responds to “badly” cannot be told: this attribution is of an earlier version"),
        ({"rank": None}, "Nothing can be told about a response to “badly”: the neuron is not ranked."),
        ({"word": None}, "Nothing can be told about a response: it is active on no influential word in the dense"),
    ],
)
def test_a_response_is_claimed_only_with_a_calibrated_q(
    document: NeuronDocument, changes: dict[str, Any], start: str
) -> None:
    text = said(document, **changes)
    assert text.startswith(start)
    assert "Responds to" not in text
    assert text.endswith("88 % of its output weights are pruned, 50 % of all neurons'.")
    assert ("took 96 %" in text) == ("word" not in changes)


def test_a_loss_is_not_called_more_than_that_of_controls_without_reason(document: NeuronDocument) -> None:
    close = {"pruned-1": (0.1, 0.99)}
    assert "That is not clearly more than theirs. The loss is measured on the texts that chose" in said(
        document, intervals=close
    )
    alone = said(document, intervals={"pruned-1": None})
    assert "took 96 % of its activation on “badly”, 70 points" in alone
    assert "gives no interval, so whether that is more than theirs cannot be told. The loss is measured" in alone
    bare = said(document, controls={})
    assert "26 upstream. No control neurons were recorded, so whether other neurons lost as much cannot" in bare
    assert "theirs" not in bare
    empty = document.controls["pruned-1"]
    nothing = empty.activation_matched.model_copy(update={"value": None, "low": None, "high": None})
    undefined = {"pruned-1": empty.model_copy(update={"activation_matched": nothing})}
    assert "No control neurons were recorded" in said(document, controls=undefined)


def test_what_was_not_measured_is_left_out_or_named(document: NeuronDocument) -> None:
    assert "own weights" not in said(document, drop_parts={})
    first, text = document.variants[1].label, said(document, drops={"pruned-1": None})
    assert (
        f"What {first} took of its activation on “badly” cannot be told: the dense model has none there. 88 %" in text
    )
    assert said(document, masked_means={}).endswith(" 88 % of its output weights are pruned.")
    assert "output weights" not in said(document, masked_fractions={})
    assert "are pruned" not in said(document, masked_fractions={})
    gained = document.controls["pruned-1"]
    rose = gained.activation_matched.model_copy(update={"value": -0.1, "low": -0.2, "high": -0.05})
    controls = {"pruned-1": gained.model_copy(update={"activation_matched": rose})}
    assert "neurons of similar activation gained 10 % (5 to 20 %)." in said(document, controls=controls)


@pytest.mark.parametrize("variant", ["pruned-1", "pruned-2"])
def test_the_page_begins_with_it(client: TestClient, made_up: MadeUp, variant: str) -> None:
    document = NeuronDocument.model_validate(client.get(f"/api/v1{PAGE}").json())
    page = client.get(f"{PAGE}?variant={variant}").text
    lead = page.partition('id="verdict">')[2].partition("</p>")[0]
    assert unescape(sub("<[^>]+>", "", lead)).replace("\N{NO-BREAK SPACE}", " ") == said(document, variant)
    assert 'data-term="output weights"' in lead


def test_the_mean_share_of_pruned_weights_is_that_of_all_neurons(client: TestClient, made_up: MadeUp) -> None:
    document = client.get(f"/api/v1{PAGE}").json()
    for name in ("pruned-1", "pruned-2"):
        means = {side: float(np.mean(made_up.arrays[f"masked_{side}/{name}"], dtype=float)) for side in ("in", "out")}
        assert document["masked_means"][name] == pytest.approx(means)


def test_p_and_q_say_where_they_come_from(document: NeuronDocument) -> None:
    def facts(**changes: Any) -> str:
        view = NeuronView(variant="pruned-1")
        return file_facts(document.model_copy(update=changes), view)

    assert "p 0.200 from 200 draws of placebo words · q" in facts(p_value=0.2)
    assert "p 0.020 from the fitted tail of 200 draws of placebo words" in facts(p_value=0.02)
    assert "from 1,000 draws of random tokens" in facts(p_value=0.2, placebo=0)
    assert "Benjamini-Hochberg, over all neurons" in facts()
    old = facts(format=2, placebo=0, p_value=0.0001)
    assert "p 0.0001 from 1,000 draws of random tokens" in old and "normal tail, over all neurons" in old


def brute_force_example(document: NeuronDocument, variant: str) -> int:
    """Every token of every text, one by one."""
    dense = document.variants[0]
    pruned = next(each for each in document.variants if each.name == variant)
    own: list[tuple[float, int]] = []
    all_influential: list[tuple[float, int]] = []
    for place, example in enumerate(document.examples):
        for i in range(len(example.tokens)):
            before = transformed(dense.activations[place][i], document.activation)
            loss = before - transformed(pruned.activations[place][i], document.activation)
            if example.influential[i]:
                all_influential.append((loss, -place))
            if any(word.word == document.word and i in word.positions for word in example.words):
                own.append((loss, -place))
    for found in (own, all_influential):
        if found and max(found)[0] > 0:
            return document.examples[-max(found)[1]].index
    found = own or all_influential
    return document.examples[-max((abs(loss), place) for loss, place in found)[1]].index


@pytest.mark.parametrize("activation", ["relu", "abs", "raw"])
@pytest.mark.parametrize("word", ["badly", "damaged", "bland", None])
def test_the_page_opens_at_the_largest_loss_in_the_shown_variant(
    document: NeuronDocument, word: str | None, activation: str
) -> None:
    rng = np.random.default_rng(0)
    opened = set()
    for _ in range(40):
        variants = [
            each.model_copy(
                update={"activations": [rng.choice(VALUES, len(text)).tolist() for text in each.activations]}
            )
            for each in document.variants
        ]
        changed = document.model_copy(update={"word": word, "activation": activation, "variants": variants})
        for variant in ("pruned-1", "pruned-2"):
            expected = brute_force_example(changed, variant)
            assert default_example(changed, variant) == expected
            assert default_view(changed, variant).example == expected
            assert neuron_view(changed, {"variant": variant}).example == expected
            assert neuron_view(changed, {"variant": variant, "example": "1"}).example == 1
            opened.add(expected)
        assert default_view(changed) == default_view(changed, "pruned-1") == default_view(changed, "unknown")
    assert opened == {0, 1}


def test_the_token_above_the_text_is_named_for_what_it_is(document: NeuronDocument) -> None:
    view = NeuronView(variant="pruned-1", activation="raw")
    (reading,) = read_examples(document, view, [0])
    token = reading.token
    assert token is not None and token is reading.most_changed
    largest = max(abs(each.difference) for each in reading.tokens if not each.aside)
    kind = "loss" if token.difference < 0 else "gain"
    assert reading.heading == (
        "Largest change in this text"
        if abs(token.difference) == largest
        else f"Largest {kind} on an influential word in this text"
    )
    assert read_examples(document, NeuronView(variant="pruned-1", token=3), [0])[0].heading == "Chosen"
