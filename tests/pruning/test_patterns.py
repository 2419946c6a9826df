import pytest

from prunescope.lm.errors import BadPattern
from prunescope.pruning.patterns import NofM, Unstructured, parse_pattern


@pytest.mark.parametrize(
    ("text", "pattern"),
    [("0.5", Unstructured(0.5)), ("0", Unstructured(0.0)), ("2:4", NofM(2, 4)), (" 4 : 8 ", NofM(4, 8))],
)
def test_patterns_that_are_understood(text, pattern):
    assert parse_pattern(text) == pattern


@pytest.mark.parametrize("text", ["1", "1.5", "-0.1", "nan", "inf", "5:4", "4:4", "0:4", "half", "2:4:8", "", ":"])
def test_patterns_that_are_refused_in_one_line(text):
    with pytest.raises(BadPattern) as caught:
        parse_pattern(text)
    assert "\n" not in str(caught.value) and "such as" in str(caught.value)


def test_patterns_print_as_they_are_written():
    assert [str(Unstructured(0.5)), str(NofM(2, 4))] == ["0.5", "2:4"]
    assert all(parse_pattern(str(pattern)) == pattern for pattern in (Unstructured(0.625), NofM(1, 16)))
