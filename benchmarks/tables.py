"""Formats Markdown tables and inserts them into the documentation."""

from collections.abc import Sequence
from pathlib import Path

END = "<!-- end -->"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with padded columns, right-aligned except for the first."""
    cells = [list(head), *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [cells[0], rule, *cells[1:]]
    return "\n".join("| " + " | ".join(_padded(line, widths)) + " |" for line in lines)


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]


def insert(document: Path, mark: str, text: str) -> None:
    """Replace the text in a Markdown file between `<!-- mark -->` and the next `<!-- end -->`. Raises ValueError if
    they are missing."""
    whole = document.read_text(encoding="utf-8")
    begin = f"<!-- {mark} -->\n"
    if begin not in whole or END not in whole.partition(begin)[2]:
        raise ValueError(f"{document}: no lines {begin.strip()} and {END} to put the table between")
    before, _, rest = whole.partition(begin)
    _, _, after = rest.partition(END)
    document.write_text(f"{before}{begin}\n{text}\n\n{END}{after}", encoding="utf-8")
