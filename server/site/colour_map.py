"""Tables of shaded cells, drawn by the server, such as Scores by layer and rank (``site/colour_map.html``)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prunescope.server.site.palette import STEPS

ROWS_OF_FULL_HEIGHT = 40
"""With more rows than this, rows have half the height."""


@dataclass(frozen=True)
class MapCell:
    """A value of a map. ``label`` is its accessible name and its tooltip: what it is, a comma, and the values."""

    value: float
    label: str
    href: str | None = None


@dataclass(frozen=True)
class ShadedCell:
    css: str
    label: str
    href: str | None


@dataclass(frozen=True)
class MapRow:
    """A row with its head; None for cells without a value."""

    name: str
    href: str | None
    cells: list[ShadedCell | None]


@dataclass(frozen=True)
class ColourMap:
    """The context of ``site/colour_map.html``. Shades run from ``low`` to ``high``, the extreme values."""

    corner: str
    columns: list[str]
    rows: list[MapRow]
    low: float
    high: float

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    @property
    def fine(self) -> bool:
        """Whether there are so many rows that each is low."""
        return len(self.rows) > ROWS_OF_FULL_HEIGHT


Rows = Iterable[tuple[str, str | None, Sequence[MapCell | None]]]


def colour_map(corner: str, columns: Sequence[str], rows: Rows) -> ColourMap:
    """The map of some rows, each with its name, the address of its head, and its cells. ``corner`` says what row heads
    and column heads are."""
    given = [(name, href, list(cells)) for name, href, cells in rows]
    values = [cell.value for _, _, cells in given for cell in cells if cell is not None]
    low, high = min(values, default=0.0), max(values, default=0.0)
    shaded = [
        MapRow(name, href, [None if cell is None else _shaded(cell, low, high) for cell in cells])
        for name, href, cells in given
    ]
    return ColourMap(corner, list(columns), shaded, low, high)


def _shaded(cell: MapCell, low: float, high: float) -> ShadedCell:
    fraction = (cell.value - low) / (high - low) if high > low else 1.0
    # The lowest value has a shade too, because a cell without one looks like a missing value.
    return ShadedCell(f"h{max(1, round(STEPS * fraction))}", cell.label, cell.href)
