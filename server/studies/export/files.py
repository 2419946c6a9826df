"""A study's table as a file in one of four forms, all with the same numbers."""

from dataclasses import dataclass

from prunescope.jobs.problems import bad_field, unknown_name
from prunescope.server import urls
from prunescope.server.studies.documents import StudyDocument, StudyTableDocument
from prunescope.server.studies.export.csv_file import table_csv
from prunescope.server.studies.export.html import table_html
from prunescope.server.studies.export.latex import table_latex
from prunescope.server.studies.export.shown import Shown, shown_table
from prunescope.server.studies.query import shown_query


@dataclass(frozen=True)
class File:
    body: bytes
    media_type: str
    name: str


def table_file(document: StudyDocument, form: str) -> File:
    """Problem 422 for a form that there is not."""
    if form not in urls.TABLE_FORMS:
        raise bad_field("form", form, list(urls.TABLE_FORMS), unknown_name(form, urls.TABLE_FORMS))
    of = "" if document.measure == "accuracy" else f"{document.measure}-"
    crossed = f"{of}{document.table.rows_axis}-by-{document.table.columns_axis}"
    name = f"study-{document.id}-{crossed}.{form}"
    table = shown_table(document)
    address = urls.with_state(document.href, **shown_query(document).with_(chart=None).state)
    match form:
        case "csv":
            return File(table_csv(table).encode(), "text/csv; charset=utf-8", name)
        case "tex":
            text = table_latex(table, f"tab:study-{document.id}-{crossed}")
            return File(text.encode(), "application/x-tex; charset=utf-8", name)
        case "html":
            return File(table_html(table, address).encode(), "text/html; charset=utf-8", name)
        case _:
            return File(_json(document, table, address), "application/json", name)


def _json(document: StudyDocument, table: Shown, address: str) -> bytes:
    return (
        StudyTableDocument(
            study=document.id,
            title=document.title,
            href=address,
            caption=table.caption,
            notes=list(table.notes),
            measure=document.measure,
            show=document.show,
            filters=document.filters,
            published=document.published,
            table=document.table,
        )
        .model_dump_json(indent=1)
        .encode()
    )
