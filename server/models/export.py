"""A pruned model's matrices as CSV."""

import csv
import io

from prunescope.server.models.documents import ModelDocument
from prunescope.server.site.formats import harmless

COLUMNS = ("layer", "matrix", "rows", "columns", "sparsity", "relative_error", "damping_retries", "permuted")


def matrices_csv(model: ModelDocument) -> str:
    """One row per matrix, layer by layer. Numbers have all of their digits, as in the JSON document; a matrix whose
    error was not measured has none."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for layer in model.layers:
        for matrix in layer.matrices:
            writer.writerow(
                [
                    layer.layer,
                    harmless(matrix.name),
                    matrix.rows,
                    matrix.columns,
                    repr(matrix.sparsity),
                    "" if matrix.relative_error is None else repr(matrix.relative_error),
                    matrix.damping_retries,
                    str(matrix.permuted).lower(),
                ]
            )
    return out.getvalue()
