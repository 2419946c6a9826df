"""Shows results in notebooks: HTML tables that need neither scripts nor a network, and pandas data frames."""

from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

TABLE = "border-collapse:collapse;font-variant-numeric:tabular-nums"
CELL = "padding:2px 12px 2px 0;text-align:{side}"

MAX_FRAME_HEIGHT = 800
"""Maximum height in pixels of an embedded document; a taller one scrolls."""


def html_table(
    title: str, note: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, words: Collection[str] = ()
) -> str:
    """An HTML table under a title and a line of small print. Columns are aligned right, those named in `words` left."""
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
    """An iframe with a complete HTML document, so that its styles do not apply to the page around it. `height` in
    pixels."""
    return (
        f'<iframe sandbox srcdoc="{escape(document)}" width="100%" height="{min(height, MAX_FRAME_HEIGHT)}" '
        f'style="border:0;resize:vertical" title="figure"></iframe>'
    )


def data_frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> "pandas.DataFrame":
    """A data frame of `rows` with these columns. Raises ImportError, saying how to install pandas, if it is missing."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError("to_pandas() needs pandas, which is not installed: pip install pandas") from error
    return pandas.DataFrame(rows, columns=list(columns))
