"""Text for LaTeX files."""

import unicodedata

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


def escaped(text: str) -> str:
    """The text escaped for LaTeX, so that it compiles with pdfLaTeX and no further package: accents become commands, a
    character that the default fonts lack becomes its code point (``U+9762``).

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
