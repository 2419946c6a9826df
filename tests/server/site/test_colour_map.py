"""Tables of shaded cells."""

import re

from hypothesis import given
from hypothesis import strategies as st

from prunescope.server.site.colour_map import MapCell, colour_map
from prunescope.server.site.frame import environment

GRIDS = st.integers(1, 6).flatmap(
    lambda columns: st.lists(
        st.lists(st.none() | st.floats(-1e6, 1e6), min_size=columns, max_size=columns), min_size=1, max_size=6
    )
)


@given(GRIDS)
def test_shades_grow_with_values_and_only_missing_values_have_none(grid: list[list[float | None]]) -> None:
    cells = [[None if value is None else MapCell(value, "x") for value in row] for row in grid]
    made = colour_map("layer", [str(place) for place in range(len(grid[0]))], [("L", None, row) for row in cells])
    pairs = [
        (value, cell)
        for values, row in zip(grid, made.rows, strict=True)
        for value, cell in zip(values, row.cells, strict=True)
    ]
    assert all((value is None) == (cell is None) for value, cell in pairs)
    shades = sorted((value, int(cell.css[1:])) for value, cell in pairs if value is not None and cell is not None)
    assert [step for _, step in shades] == sorted(step for _, step in shades)
    assert all(1 <= step <= 20 for _, step in shades)
    if shades:
        assert (made.low, made.high, shades[-1][1]) == (shades[0][0], shades[-1][0], 20)


def test_each_cell_has_a_link_with_its_values_or_a_name_and_text_is_never_markup() -> None:
    made = colour_map(
        "layer",
        ["1", "2", "3"],
        [("L0", "/layers/0", [MapCell(0.5, "L0/N1, <b>plot</b> −9 %", "/n/1"), MapCell(0.1, "L0/N2, bad"), None])],
    )
    macro = environment().get_template("site/colour_map.html").module.table  # type: ignore[attr-defined]
    html = str(macro(made, "Scores"))
    assert '<a href="/n/1" aria-label="L0/N1, &lt;b&gt;plot&lt;/b&gt; −9 %"></a>' in html
    assert '<td class="h1" aria-label="L0/N2, bad"></td><td></td>' in html
    assert re.findall(r'<th scope="col">(.*?)</th>', html) == [
        "layer",
        "1",
        '<span class="unseen">2</span>',
        '<span class="unseen">3</span>',
    ]
    assert not made.fine


def test_many_rows_are_low() -> None:
    assert colour_map("layer", ["1"], [(f"L{layer}", None, [MapCell(1, "x")]) for layer in range(80)]).fine
