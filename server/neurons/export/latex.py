"""A neuron's figure as LaTeX: coloured tokens as text, for a paper."""

from collections.abc import Sequence

from prunescope.server.neurons.export.figure import Figure
from prunescope.server.neurons.reading import Cell, Character, Pane
from prunescope.server.site.latex import escaped

NEWLINE = r"$\hookleftarrow$"


def neuron_latex(figure: Figure, label: str) -> str:
    """The figure as a ``figure*`` environment, for pdfLaTeX with the package xcolor. ``label``: the argument of
    ``\\ref``, of letters, digits, - and :."""
    caption = f"{figure.document.name}: {figure.document.label}. {figure.facts}. {figure.caption.provenance}."
    return "\n".join(
        [
            r"% Needs \usepackage{xcolor}.",
            *(f"% {line}" for line in figure.caption.comments),
            r"\begin{figure*}",
            r"\footnotesize\setlength{\fboxsep}{1pt}",
            *(line for row in figure.rows for beside in row.lines for line in _beside(beside, figure)),
            rf"\caption{{{escaped(caption)}}}",
            rf"\label{{{label}}}",
            r"\end{figure*}",
            "",
        ]
    )


def _beside(panes: Sequence[Pane], figure: Figure) -> list[str]:
    lines: list[str] = []
    for pane in panes:
        lines += [
            r"\begin{minipage}[t]{0.32\textwidth}\raggedright",
            rf"\textbf{{{escaped(pane.title)}}} {escaped(pane.subtitle)}\par",
            *([rf"\emph{{\ldots{{}} {pane.before} tokens left out}}"] if pane.before else []),
            *(_token(cell, figure) for cell in pane.drawn),
            *([rf"\emph{{\ldots{{}} {pane.after} tokens left out}}"] if pane.after else []),
            rf"\par\smallskip {escaped(f'{pane.legend.low} to {pane.legend.high}')}",
            r"\end{minipage}\hfill",
        ]
    return [*lines, r"\par\medskip"]


def _token(cell: Cell | Character, figure: Figure) -> str:
    """The token, or the character of several tokens, in a box of its colour; its lines end with the paragraph. The line
    ends with %, so that nothing stands between two tokens but the place where a line may break."""
    fill, ink = (colour.removeprefix("#").upper() for colour in figure.colours(cell))
    boxes = []
    for number, part in enumerate(cell.token.parts, 1):
        end = NEWLINE if number < len(cell.token.parts) else ""
        text = "~" * (len(part) - len(part.lstrip(" "))) + escaped(part.strip(" ")) + end
        marked = rf"\underline{{{text}}}" if any(piece.token.influential for piece in cell.pieces) else text
        framed = rf"\fbox{{{marked}}}" if any(piece.chosen for piece in cell.pieces) else marked
        boxes.append(
            rf"\colorbox[HTML]{{{fill}}}{{\textcolor[HTML]{{{ink}}}{{\strut {framed}}}}}\allowbreak"
            if part or end
            else ""
        )
    return "\\par ".join(boxes) + "%"
