"""The file between recording and the store: what is written in pieces stands where it belongs."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from prunescope.store.attributions.spool import Spool

SHAPE = (3, 7, 5)  # layers, tokens, neurons


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool", SHAPE)
    yield spool
    spool.remove()
    assert not list(tmp_path.iterdir())


def drawn() -> np.ndarray:
    return np.random.default_rng(0).standard_normal(SHAPE).astype(np.float16)


@pytest.mark.parametrize("most", [None, 3], ids=["whole writes", "writes cut short"])
def test_pieces_in_any_order_stand_where_they_belong(
    spool: Spool, most: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.pwrite
    if most is not None:  # a system may take less than it is given
        monkeypatch.setattr(os, "pwrite", lambda file, data, place: whole(file, data[:most], place))
    values = drawn()
    for layer in (2, 0):
        for start, stop in ((4, 7), (0, 1), (1, 4)):
            spool.write(layer, start, values[layer, start:stop])
    np.testing.assert_array_equal(spool.values[[0, 2]], values[[0, 2]])
    assert not spool.values[1].any()


def test_values_need_not_lie_one_after_another(spool: Spool) -> None:
    values = drawn()
    spool.write(1, 0, np.asfortranarray(values[1]))
    np.testing.assert_array_equal(spool.values[1], values[1])


@pytest.mark.parametrize(("layer", "start", "neurons"), [(3, 0, 5), (-1, 0, 5), (0, 5, 5), (0, -1, 5), (0, 0, 4)])
def test_what_does_not_fit_is_refused(spool: Spool, layer: int, start: int, neurons: int) -> None:
    with pytest.raises(ValueError, match=r"outside of \(3, 7, 5\)"):
        spool.write(layer, start, np.ones((3, neurons), np.float16))
    assert not spool.values.any()


def test_a_full_disk_is_an_error(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        spool.write(0, 0, drawn()[0])
