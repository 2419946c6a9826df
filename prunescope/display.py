"""How results show themselves: tables in HTML that need neither scripts nor a network, and pandas data frames."""

from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

TABLE = "border-collapse:collapse;font-variant-numeric:tabular-nums"
CELL = "padding:2px 12px 2px 0;text-align:{side}"

MAX_FRAME_HEIGHT = 800
"""Pixels of a document that is shown inside of another; a taller one scrolls."""


def html_table(
    title: str, note: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, words: Collection[str] = ()
) -> str:
    """A table under a title and a line of small print. Columns are set right, those named in `words` left."""
    sides = ["left" if name in words else "right" for name in columns]

    def line(tag: str, cells: Sequence[str]) -> str:
        inside = (
            f'<{tag} style="{CELL.format(side=side)}">{escape(cell)}</{tag}>'
            for cell, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{''.join(inside)}</tr>"

    return (
        f"<div><b>{escape(title)}</b><br><small>{escape(note)}</small>"
        f'<table style="{TABLE}"><thead>{line("th", columns)}</thead>'
        f"<tbody>{''.join(line('td', row) for row in rows)}</tbody></table></div>"
    )


def html_frame(document: str, height: int) -> str:
    """A whole HTML document inside of another one, which its styles do not touch; `height` in pixels."""
    return (
        f'<iframe sandbox srcdoc="{escape(document)}" width="100%" height="{min(height, MAX_FRAME_HEIGHT)}" '
        f'style="border:0;resize:vertical" title="figure"></iframe>'
    )


def data_frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> "pandas.DataFrame":
    """Rows as a data frame. Raises ImportError, which says how to install it, where pandas is not there."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError("to_pandas() needs pandas, which is not installed: pip install pandas") from error
    return pandas.DataFrame(rows, columns=list(columns))
