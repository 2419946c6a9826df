"""Exports a study's table as CSV, LaTeX, HTML or JSON, all with the same numbers."""

import csv
import io
from dataclasses import dataclass

from fastapi.responses import Response
from pydantic_core import to_json

from prunescope.server import urls
from prunescope.server.headers import FILE_POLICY
from prunescope.server.site import formats
from prunescope.server.site.formats import harmless
from prunescope.server.site.frame import render
from prunescope.server.site.latex import escaped
from prunescope.server.site.palette import PALETTES, hexadecimal
from prunescope.server.studies.documents import CellDocument, StudyDocument
from prunescope.server.studies.query import one_of
from prunescope.server.studies.shown import Shown

LIGHT = PALETTES["light"]
MANY_COLUMNS = 8
"""A table with more columns is set in small type."""


@dataclass(frozen=True)
class HtmlFile:
    """The context of ``studies/export/table.html``. ``address`` is the path of the study's page."""

    shown: Shown
    address: str
    ink: str = hexadecimal(LIGHT.ink)

    def colours(self, gain: float) -> str:
        """The CSS of a cell with this `CellDocument.gain`: background and text colour."""
        colour = LIGHT.shade("l" if gain < 0 else "g", self.shown.scale.fraction(gain))
        return f"background-color:{hexadecimal(colour)};color:{hexadecimal(LIGHT.text_on(colour))}"


def table_file(document: StudyDocument, form: str) -> Response:
    """A study's table as a file. Raises Problem 422 for an unknown form."""
    of = "" if document.measure == "accuracy" else f"{document.measure}-"
    name = f"study-{document.id}-{of}{document.table.rows_axis}-by-{document.table.columns_axis}"
    table = Shown(document)
    address = urls.with_state(document.href, **table.query.with_(chart=None).state)
    body: str | bytes | memoryview
    match one_of("form", form, urls.TABLE_FORMS):
        case "csv":
            body, kind = table_csv(table), "text/csv; charset=utf-8"
        case "tex":
            body, kind = table_latex(table, f"tab:{name}"), "application/x-tex; charset=utf-8"
        case "html":
            body, kind = render("studies/export/table", HtmlFile(table, address)).body, "text/html; charset=utf-8"
        case _:
            # The table's document, with the caption, the notes and the query that chose it.
            fields = {"title", "measure", "show", "filters", "published", "table"}
            own = {"study": document.id, "href": address, "caption": table.caption, "notes": table.notes}
            contents = {**own, **document.model_dump(mode="json", include=fields)}
            body, kind = to_json(contents, indent=1), "application/json"
    headers = {
        "content-disposition": f'attachment; filename="{name}.{form}"',
        "content-security-policy": FILE_POLICY,
        "cache-control": "no-cache",
    }
    return Response(body, media_type=kind, headers=headers)


def table_csv(table: Shown) -> str:
    """The table as CSV (RFC 4180), one line for each row: label, name of the measure, group (if the table has groups),
    the dense model's value, the cells, the spread, and the paper's values if the table shows them.

    Accuracies and their differences are shares (0 to 1). Numbers have all digits; missing ones are empty. Texts are
    escaped, so that no spreadsheet evaluates them as formulas (`formats.harmless`).
    """
    out = io.StringIO()
    writer = csv.writer(out)
    columns, groups = table.table.columns, table.groups
    grouped = any(groups)
    measure = f"{table.measure.name} {table.measure.change_name}" if table.differences else table.measure.name
    axis = table.measure.axis(table.table.rows_axis)
    head = [axis, "measure", *(["group"] if grouped else []), "dense", *columns, "spread"]
    writer.writerow([*map(harmless, head), *(harmless(f"{name} (paper)") for name in columns if table.with_paper)])
    for group, rows in groups.items():
        for row in rows:
            texts = [row.label, measure, *([group] if grouped else [])]
            numbers = [row.dense, *(None if cell is None else table.value(cell) for cell in row.cells), row.spread]
            if table.with_paper:
                numbers += [None if cell is None else cell.published for cell in row.cells]
            writer.writerow([*map(harmless, texts), *("" if each is None else repr(each) for each in numbers)])
    return out.getvalue()


def table_latex(table: Shown, label: str) -> str:
    """The table as a ``table`` environment with booktabs; ``label``, the argument of ``\\ref``, has only letters,
    digits, - and :."""
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
        for row in rows:
            cells = [_cell(cell, table) for cell in row.cells]
            lines.append(_line([escaped(row.label), escaped(table.dense(row)), *cells, escaped(table.spread(row))]))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


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
