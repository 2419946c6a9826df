"""Numbers and times as people read them, shades, and the view in the query string."""

import math
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunescope.jobs.problems import Problem
from prunescope.server.neurons.view import View, read_view, view_state
from prunescope.server.site import formats
from prunescope.server.site.palette import Curve, Scale, difference_shade, magnitude_shade

MINUS, SPACE = formats.MINUS, formats.SPACE
NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.2112, "0.2112"),
        (0, "0.0000"),
        (-0.5, f"{MINUS}0.5000"),
        (1.3e-6, "1.3e-06"),
        (124.46, "124.5"),
        (None, formats.NOTHING),
    ],
)
def test_activations(value: float | None, text: str) -> None:
    assert formats.activation(value) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (-0.96, f"{MINUS}96{SPACE}%"),
        (0.3, f"+30{SPACE}%"),
        (0.001, f"0{SPACE}%"),
        (-0.001, f"0{SPACE}%"),
        (11.0, "×12"),
    ],
)
def test_changes(fraction: float, text: str) -> None:
    assert formats.change(fraction) == text


def test_accuracies() -> None:
    assert formats.accuracy(0.7504) == "75.0"
    assert formats.points(-0.201) == f"{MINUS}20.1"
    assert formats.points(0.012) == "+1.2"
    assert formats.points(0.0001) == "0.0"
    assert formats.points(None) == formats.NOTHING


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.85, "850 ms"), (4.21, "4.2 s"), (59, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("past", "text"),
    [
        (timedelta(seconds=3), "just now"),
        (timedelta(seconds=50), "a minute ago"),
        (timedelta(minutes=12), "12 minutes ago"),
        (timedelta(hours=1), "1 hour ago"),
        (timedelta(days=3), "3 days ago"),
    ],
)
def test_how_long_ago(past: timedelta, text: str) -> None:
    assert formats.ago(NOW - past, NOW) == text
    assert formats.ago((NOW - past).replace(tzinfo=None), NOW) == text, "a time without a zone is in UTC"


def test_token_names_show_what_cannot_be_seen() -> None:
    assert formats.token_name(" a\n\t") == "“ a↵⇥”"


@given(top=st.floats(1e-6, 1e4), part=st.floats(0, 1), curve=st.sampled_from(get_args(Curve)))
def test_shades_grow_with_the_value(top: float, part: float, curve: Curve) -> None:
    scale = Scale(top, curve)
    assert 0 <= scale.fraction(part * top / 2) <= scale.fraction(part * top) <= 1
    assert scale.fraction(-part * top) == scale.fraction(part * top)
    assert scale.fraction(scale.middle) == pytest.approx(0.5)
    assert scale.fraction(2 * top) == pytest.approx(1)


def test_shades_say_the_sign() -> None:
    scale = Scale(2.0)
    assert (magnitude_shade(1, scale), magnitude_shade(-2, scale)) == ("h10", "m20")
    assert (difference_shade(-1, scale), difference_shade(2, scale)) == ("l10", "g20")
    assert magnitude_shade(1, Scale(0.0)) == magnitude_shade(math.nan, scale) == "h0"


def test_view_comes_back_from_its_address() -> None:
    default = View(variant="pruned-1")
    view = View(2, "pruned-2", "raw", "model", "log", "16", "difference", 7)
    query = {key: str(value) for key, value in view_state(view, default).items()}
    assert read_view(query, examples=[0, 2], variants=["pruned-1", "pruned-2"], activation="relu") == view
    assert all(value is None for value in view_state(default, default).values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("example", "9"),
        ("variant", "x"),
        ("activation", "x"),
        ("scale", "x"),
        ("curve", "x"),
        ("window", "-1"),
        ("show", "x"),
        ("token", "²"),
        ("token", "4"),
    ],
)
def test_a_view_that_is_not_there_is_refused_by_name(name: str, value: str) -> None:
    def read(query: dict[str, str]) -> View:
        return read_view(query, examples=[0], variants=["pruned-1"], activation="abs", tokens=lambda example: 4)

    with pytest.raises(Problem) as caught:
        read({name: value})
    assert [(error.field, error.given) for error in caught.value.errors] == [(name, value)]
    assert read({}) == View(variant="pruned-1", activation="abs")


def test_a_difference_of_losses_is_a_multiple() -> None:
    assert formats.multiple(0.0) == "1.00\xa0×"
    assert formats.multiple(0.2231) == "1.25\xa0×"
    assert formats.multiple(-0.6931) == "0.50\xa0×"
    assert formats.multiple(812.3) == "e^812\xa0×"
