"""Exports a study's table as LaTeX with booktabs.

Text is escaped so that any text compiles with pdfLaTeX and no further package: accents become commands, a character
that the default fonts lack becomes its code point (``U+9762``).
"""

import unicodedata

from prunescope.server.site import formats
from prunescope.server.studies.documents import CellDocument, RowDocument
from prunescope.server.studies.shown import Shown

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    # After the end of a row, LaTeX would read [ and * as the row's options.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    # Two hyphens in a row would become a dash.
    "-": "-{}",
    "\N{MINUS SIGN}": "$-$",
    "\N{MIDDLE DOT}": r"\textperiodcentered{}",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{EN DASH}": r"\textendash{}",
    "\N{EM DASH}": r"\textemdash{}",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
    "\N{NO-BREAK SPACE}": "~",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "\N{LATIN SMALL LETTER DOTLESS I}": r"\i{}",
}
ACCENTS = {
    "\N{COMBINING GRAVE ACCENT}": "`",
    "\N{COMBINING ACUTE ACCENT}": "'",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^",
    "\N{COMBINING TILDE}": "~",
    "\N{COMBINING DIAERESIS}": '"',
    "\N{COMBINING MACRON}": "=",
    "\N{COMBINING DOT ABOVE}": ".",
    "\N{COMBINING BREVE}": "u",
    "\N{COMBINING CARON}": "v",
    "\N{COMBINING DOUBLE ACUTE ACCENT}": "H",
    "\N{COMBINING CEDILLA}": "c",
    "\N{COMBINING RING ABOVE}": "r",
}
MANY_COLUMNS = 8
"""A table with more columns is set in small type."""


def table_latex(table: Shown, label: str) -> str:
    """The table as a ``table`` environment; ``label``, the argument of ``\\ref``, has only letters, digits, - and :."""
    names = table.table.columns
    columns = 1 + 1 + len(names) + 1
    lines = [
        r"% Needs \usepackage{booktabs}.",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(' '.join([table.caption, *table.notes]))}}}",
        rf"\label{{{label}}}",
        *([r"\small"] if len(names) > MANY_COLUMNS else []),
        rf"\begin{{tabular}}{{l{'r' * (columns - 1)}}}",
        r"\toprule",
        _line([escaped(table.measure.axis(table.table.rows_axis)), "dense", *map(escaped, names), "spread"]),
        r"\midrule",
    ]
    for place, (name, rows) in enumerate(table.groups.items()):
        if name:
            lines += [r"\addlinespace"] * (place > 0)
            lines.append(rf"\multicolumn{{{columns}}}{{l}}{{\emph{{{escaped(name)}}}}} \\")
        lines += [_row(row, table) for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def escaped(text: str) -> str:
    """The text escaped for LaTeX.

    >>> escaped("50 % of a_b")
    '50 \\% of a\\_b'
    """
    out: list[str] = []
    for character in unicodedata.normalize("NFC", text):
        if character in SPECIAL:
            out.append(SPECIAL[character])
        elif character.isspace():
            out.append(" ")
        elif character.isascii():
            out.append(character if character.isprintable() else "")
        else:
            out.append(_foreign(character))
    return "".join(out)


def _foreign(character: str) -> str:
    base, *marks = list(unicodedata.normalize("NFD", character))
    if len(marks) == 1 and marks[0] in ACCENTS and base.isascii() and base.isalpha():
        letter = {"i": r"\i", "j": r"\j"}.get(base, base)
        return rf"\{ACCENTS[marks[0]]}{{{letter}}}"
    return f"U+{ord(character):04X}"


def _row(row: RowDocument, table: Shown) -> str:
    cells = [_cell(cell, table) for cell in row.cells]
    return _line([escaped(row.label), escaped(table.dense(row)), *cells, escaped(table.spread(row))])


def _cell(cell: CellDocument | None, table: Shown) -> str:
    if cell is None:
        return ""
    text = escaped(table.text(cell))
    if cell.best:
        text = rf"\textbf{{{text}}}"
    if cell.at_chance:
        text = rf"\textit{{{text}}}"
    if table.holds(cell):
        text += "$^{*}$"
    if cell.published is None:
        return text
    return rf"{text} {{\scriptsize ({escaped(formats.accuracy(cell.published))})}}".lstrip()


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
