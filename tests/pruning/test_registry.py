from dataclasses import dataclass

import pytest

from prunescope.lm.errors import BadInput
from prunescope.pruning.methods import METHODS, build
from prunescope.pruning.methods.magnitude import Magnitude
from prunescope.pruning.methods.protocol import Calibrated, WeightsOnly
from prunescope.pruning.methods.wanda import Wanda


def test_methods_by_name():
    assert isinstance(build("magnitude", {}), Magnitude) and isinstance(build("wanda", {}), Wanda)
    assert all(issubclass(method, WeightsOnly | Calibrated) for method in METHODS.values())


def test_an_unknown_method_lists_the_known_ones():
    with pytest.raises(BadInput, match=r"'wandaa' is unknown \(did you mean wanda\?\); known: magnitude, wanda"):
        build("wandaa", {})
    with pytest.raises(BadInput, match="'xyz' is unknown; known"):
        build("xyz", {})


def test_options_are_the_methods_fields(monkeypatch):
    @dataclass(frozen=True)
    class Stronger(Magnitude):
        strength: float = 1.0

    monkeypatch.setitem(METHODS, "stronger", Stronger)
    assert build("stronger", {"strength": 2.0}) == Stronger(2.0)
    with pytest.raises(BadInput, match="stronger has no option 'length'; it has strength"):
        build("stronger", {"length": 1})
    with pytest.raises(BadInput, match="wanda has no option 'strength'; it has none"):
        build("wanda", {"strength": 1})
