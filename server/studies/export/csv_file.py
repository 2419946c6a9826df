"""A study's table as CSV (RFC 4180, UTF-8)."""

import csv
import io

from prunescope.server.site.formats import harmless
from prunescope.server.studies.export.shown import Shown


def table_csv(table: Shown) -> str:
    """One row per row of the table: what its numbers are, its group where the table has groups, dense, the cells,
    spread, and behind them the paper's values where the table shows them.

    Accuracies and their differences are shares (0 to 1); every number has all of its digits, as in the JSON document;
    what is not there is empty. Texts are made harmless for spreadsheets (see ``harmless``), numbers are written as they
    are.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    grouped = any(group.name for group in table.groups)
    head = [table.rows_axis, "measure", *(["group"] if grouped else []), "dense", *table.columns, "spread"]
    writer.writerow(
        [*map(harmless, head), *(harmless(f"{name} (paper)") for name in table.columns if table.with_paper)]
    )
    for group in table.groups:
        for row in group.rows:
            texts = [row.label, table.measure, *([group.name] if grouped else [])]
            numbers = [row.dense, *(cell.value for cell in row.cells), row.spread]
            if table.with_paper:
                numbers += [cell.paper for cell in row.cells]
            writer.writerow([*map(harmless, texts), *map(number, numbers)])
    return out.getvalue()


def number(value: float | int | None) -> str:
    """All of its digits; empty where there is none."""
    return "" if value is None else repr(value)
