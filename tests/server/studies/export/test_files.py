"""A study's table as csv, tex, html and json, and all of its cells as csv: one table, whatever stands in it."""

import csv
import io
import re
import string
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from prunescope.server.site.latex import escaped
from prunescope.server.stores import Stores
from prunescope.server.studies.documents import StudyDocument
from prunescope.server.studies.export.files import table_file
from prunescope.server.studies.queries import study_document
from prunescope.server.studies.query import StudyQuery
from tests.server.conftest import add_evaluation, add_model
from tests.server.latex import compile_latex

SPEC: dict[str, Any] = {
    "name": "=2+5 <script>alert(1)</script> & 50 %",
    "models": ["demo"],
    "methods": [{"name": "magnitude"}, {"name": "wanda"}, {"name": "ria", "exponent": 0.25}],
    "patterns": ["0.5", "2:4"],
    "calibrations": [{"dataset": "demo", "samples": 2, "seqlen": 16, "seed": 3}],
    "tasks": ["reviews"],
    "limit": 4,
}
ANSWERS = {"magnitude": [0, 0, 0, 1], "wanda": [0, 1, 1, 1]}
NASTY = [
    "=1+1",
    "@SUM(A1)",
    "-2+3",
    "+7",
    'two "quotes", a comma',
    "a new\nline",
    string.printable,
    "[options] *",
    "<b>&amp;</b>",
    "naïve Žluťoučký schön Łódź æøåß İi ÿ ij",
    "面白い \N{MATHEMATICAL DOUBLE-STRUCK CAPITAL A} \N{MINUS SIGN} · … \N{EN DASH} — × \u202e",
    r"\input{/etc/passwd} \end{table} $x$ %",
]


@pytest.fixture
def study(client: TestClient, stores: Stores) -> str:
    """The dense model and two of three methods are measured."""
    job = client.post("/api/v1/jobs", json={"kind": "study", "spec": SPEC}).json()
    for cell in stores.studies.cells(job["id"]):
        if cell.role == "dense":
            add_evaluation(stores, cell.artefact, "demo", [0, 1, 0, 1])
        elif cell.role == "evaluate" and cell.method in ANSWERS:
            assert cell.pruned is not None
            add_model(stores, cell.pruned, cell.method)
            add_evaluation(stores, cell.artefact, f"pruned:{cell.pruned}", ANSWERS[cell.method])
    return str(job["fingerprint"][:16])


def table(client: TestClient, study: str, form: str, query: str = "rows=method&columns=pattern") -> Any:
    answer = client.get(f"/api/v1/studies/{study}/table.{form}?{query}")
    assert answer.status_code == 200, answer.text
    assert f'filename="study-{study}-method-by-pattern.{form}"' in answer.headers["content-disposition"]
    return answer


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


@pytest.mark.parametrize("show", ["accuracy", "difference"])
def test_all_forms_hold_the_same_table(client: TestClient, study: str, show: str) -> None:
    query = f"rows=method&columns=pattern&show={show}"
    document = client.get(f"/api/v1/studies/{study}?{query}").json()
    cells = [[cell[show] for cell in row["cells"]] for row in document["table"]["rows"]]
    assert cells[0][0] is not None and cells[2] == [None, None]
    as_json = table(client, study, "json", query).json()
    assert as_json["table"] == document["table"]
    assert as_json["caption"].startswith("Accuracy ") and as_json["href"].startswith(f"/studies/{study}?rows=method")
    answer = table(client, study, "csv", query)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8" and answer.text.endswith("\r\n")
    head, *lines = rows_of(answer.content.decode())
    assert head == ["method", "measure", "dense", "0.5", "2:4", "spread"]
    assert {line[1] for line in lines} == {"accuracy" if show == "accuracy" else "accuracy difference"}
    assert [[float(text) if text else None for text in line[3:-1]] for line in lines] == cells
    texts = [["" if value is None else shown(value, show) for value in row] for row in cells]
    html = Cells(table(client, study, "html", query).text)
    assert [row[1:-1] for row in html.rows[1:]] == texts
    latex = [[plain(cell) for cell in row] for row in latex_rows(table(client, study, "tex", query).text)]
    assert [row[2:-1] for row in latex[1:]] == texts
    assert [row[0] for row in latex] == ["method", "magnitude", "wanda", "ria (exponent=0.25)"]


def test_the_best_is_bold_and_what_is_near_chance_looks_like_it(client: TestClient, study: str) -> None:
    latex = client.get(f"/api/v1/studies/{study}/table.tex?rows=pattern&columns=method").text
    document = client.get(f"/api/v1/studies/{study}?rows=pattern&columns=method").json()
    best = [cell["best"] for row in document["table"]["rows"] for cell in row["cells"]]
    near = [cell["at_chance"] for row in document["table"]["rows"] for cell in row["cells"]]
    marked = [cell for row in latex_rows(latex)[1:] for cell in row[2:-1]]
    assert ["textbf" in cell for cell in marked] == best and any(best)
    assert ["textit" in cell for cell in marked] == near
    assert "are not there" in latex, "the caption says that some cells are still to come"


def test_the_html_stands_alone_and_runs_nothing(client: TestClient, study: str) -> None:
    answer = table(client, study, "html")
    assert "script" not in Cells(answer.text).tags
    assert not re.search(r"(src|href)=", answer.text)
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "=2+5 &lt;script&gt;" in answer.text


def test_filters_and_the_papers_values_go_into_the_file(client: TestClient) -> None:
    spec = {
        "models": ["meta-llama/Llama-2-7b-hf", "facebook/opt-6.7b"],
        "methods": ["wanda"],
        "patterns": ["0.5", "2:4"],
        "calibrations": [{"dataset": "c4"}, {"dataset": "ptb"}],
        "tasks": ["yelp"],
    }
    id = client.post("/api/v1/jobs", json={"kind": "study", "spec": spec}).json()["fingerprint"][:16]
    address = f"/api/v1/studies/{id}/table"
    query = "rows=model&columns=calibration&pattern=0.5&published=table-2"
    head, first, _ = rows_of(client.get(f"{address}.csv?{query}").text)
    assert head == ["model", "measure", "dense", "c4", "ptb", "spread", "c4 (paper)", "ptb (paper)"]
    assert first[-2:] == ["0.5038", "0.5001"], "arXiv 2503.01542, Table 2"
    assert "(50.4)" in client.get(f"{address}.tex?{query}").text
    assert "Only pattern 0.5." in client.get(f"{address}.json?{query}").json()["caption"]
    assert "<small>50.4</small>" in client.get(f"{address}.html?{query}").text


def test_what_is_wrong_is_said_as_on_the_page(client: TestClient, study: str) -> None:
    wrong = client.get(f"/api/v1/studies/{study}/table.xls")
    assert wrong.status_code == 422 and wrong.json()["errors"][0]["allowed"] == ["csv", "tex", "html", "json"]
    assert client.get(f"/api/v1/studies/{study}/table.csv?rows=colour").status_code == 422
    assert client.get(f"/api/v1/studies/{study}/table.csv?tsak=reviews").status_code == 422
    assert client.get(f"/api/v1/studies/{'9' * 16}/table.csv").status_code == 404
    assert client.get(f"/api/v1/studies/{'9' * 16}/cells.csv").status_code == 404


def test_every_cell_with_every_setting(client: TestClient, stores: Stores, study: str) -> None:
    answer = client.get(f"/api/v1/studies/{study}/cells.csv")
    assert answer.status_code == 200
    head, *lines = rows_of(answer.text)
    rows = [dict(zip(head, line, strict=True)) for line in lines]
    assert [row["method"] for row in rows] == ["dense", "magnitude", "magnitude", "wanda", "wanda", "ria", "ria"]
    wanda = next(row for row in rows if row["method"] == "wanda" and row["pattern"] == "2:4")
    cell = next(
        cell
        for cell in stores.studies.table(study).cells
        if cell.role == "evaluate" and (cell.method, cell.pattern) == ("wanda", "2:4")
    )
    expected = {
        "study": study,
        "model": "demo",
        "sparsity": "0.5",
        "allocation": "uniform",
        "calibration": "demo",
        "calibration_mode": "concat",
        "calibration_samples": "2",
        "calibration_seqlen": "16",
        "calibration_seed": "3",
        "task": "reviews",
        "group": "sentiment",
        "limit": "4",
        "rows": "4",
        "accuracy": "0.75",
        "chance": "0.5",
        "majority": "0.5",
        "dense": "1.0",
        "difference": "-0.25",
        "pruned_model": cell.pruned,
        "job": cell.job,
        "evaluation": cell.artefact,
    }
    assert {name: wanda[name] for name in expected} == expected
    assert float(wanda["accuracy_low"]) == pytest.approx(0.55) and float(wanda["accuracy_high"]) == pytest.approx(0.95)
    paired = ("difference_low", "difference_high", "p", "q", "newly_wrong", "newly_right")
    shown_there = client.get(f"/api/v1/studies/{study}?rows=method&columns=pattern").json()["table"]["rows"][1][
        "cells"
    ][1]
    assert [wanda[name] for name in paired] == [
        "" if value is None else repr(value)
        for value in (
            *(shown_there["difference_interval"] or (None, None)),
            *(shown_there[name] for name in paired[2:]),
        )
    ]
    magnitude, ria = rows[1], rows[5]
    assert (magnitude["calibration"], magnitude["method_options"]) == ("", "")
    assert "exponent=0.25" in ria["method_options"]
    assert (ria["state"], ria["accuracy"], ria["evaluation"]) == ("queued", "", "")


def test_a_placebo_that_removes_nothing_has_a_sparsity_of_0(client: TestClient) -> None:
    spec = {**SPEC, "methods": ["random", "noise"], "patterns": ["2:4"]}
    job = client.post("/api/v1/jobs", json={"kind": "study", "spec": spec}).json()
    head, *lines = rows_of(client.get(f"/api/v1/studies/{job['fingerprint'][:16]}/cells.csv").text)
    rows = [dict(zip(head, line, strict=True)) for line in lines]
    assert [(row["method"], row["pattern"], row["sparsity"]) for row in rows if row["method"] != "dense"] == [
        ("random", "2:4", "0.5"),
        ("noise", "2:4", "0.0"),
    ]


def nasty(stores: Stores, study: str) -> StudyDocument:
    """The study's document with labels that would break a careless file."""
    document = study_document(stores, study, StudyQuery(rows="method", columns="pattern"))
    table = document.table
    row = table.rows[0]
    rows = [row.model_copy(update={"label": text, "group": text}) for text in NASTY]
    return document.model_copy(
        update={"table": table.model_copy(update={"rows": rows, "columns": NASTY[:1] + NASTY[-1:]}), "title": NASTY[0]}
    )


def test_no_text_becomes_a_formula_or_markup(stores: Stores, study: str) -> None:
    document = nasty(stores, study)
    lines = rows_of(table_file(document, "csv").body.decode())
    texts = [text for line in lines for text in line]
    assert not [text for text in texts if text.startswith(("=", "+", "@", "\t", "\r"))]
    assert not [text for text in texts if text.startswith("-") and not re.fullmatch(r"-\d+\.\d+", text)]
    assert [line[0].removeprefix("'") for line in lines[1:]] == NASTY
    parsed = Cells(table_file(document, "html").body.decode())
    assert not parsed.tags & {"script", "iframe", "img", "link", "a"}
    assert len(parsed.rows) == 1 + 2 * len(NASTY)


def test_the_latex_is_whole_whatever_the_labels_are(stores: Stores, study: str) -> None:
    text = table_file(nasty(stores, study), "tex").body.decode()
    assert text.isascii()
    assert len(latex_rows(text)) == 1 + len(NASTY) == 1 + text.count(r"\emph{")
    assert r"\input" not in text.replace(r"\textbackslash{}input", "")
    assert re.fullmatch(r"tab:[a-z0-9-]+", re.search(r"\\label\{(.*?)\}", text)[1])  # type: ignore[index]


def test_latex_compiles(stores: Stores, study: str, tmp_path: Path) -> None:
    inputs = {
        "plain": study_document(stores, study, StudyQuery(rows="method", columns="pattern")),
        "difference": study_document(stores, study, StudyQuery(rows="task", columns="method", show="difference")),
        "nasty": nasty(stores, study),
    }
    compile_latex({name: table_file(document, "tex").body for name, document in inputs.items()}, tmp_path)


def test_escapes() -> None:
    assert escaped("50 % of a_b & {c} $5 #1 ~ ^ \\") == (
        r"50 \% of a\_b \& \{c\} \$5 \#1 \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )
    assert escaped("é Ž ï 面") == r"\'{e} \v{Z} \"{\i} U+9762"
    assert escaped("--") == "-{}-{}"


def shown(value: float, show: str) -> str:
    if show == "accuracy":
        return f"{100 * value:.1f}"
    return f"{100 * value:+.1f}".replace("-", "\N{MINUS SIGN}").replace("+0.0", "0.0")


def plain(cell: str) -> str:
    text = re.sub(r"\\text(?:bf|it)\{(.*)\}", r"\1", re.sub(r"\\text(?:bf|it)\{(.*)\}", r"\1", cell))
    return text.replace("$-$", "\N{MINUS SIGN}")


def latex_rows(text: str) -> list[list[str]]:
    """The rows of the only tabular: braces balance, every row is as wide as the preamble says, nothing is unescaped."""
    bare = re.sub(r"\\[\\{}$&#_%]", "..", "\n".join(line for line in text.splitlines() if not line.startswith("%")))
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    depth = 0
    for character in bare:
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert not set('#%~^"<>|') & set(re.sub(r"\\[\"^~=.']", "", bare).replace("\\(", "")), "an unescaped character"
    found = re.search(r"\\begin\{tabular\}\{(\w+)\}\n\\toprule\n(.*)\\bottomrule\n\\end\{tabular\}", text, re.DOTALL)
    assert found is not None
    width, body = len(found[1]), found[2]
    rows = []
    for line in body.splitlines():
        if line in {r"\midrule", r"\addlinespace"}:
            continue
        assert line.endswith(r" \\")
        cells = re.split(r"(?<!\\) ?& ?", line[: -len(r" \\")])
        if span := re.match(r"\\multicolumn\{(\d+)\}", line):
            assert int(span[1]) == width and len(cells) == 1, "a heading"
            continue
        assert len(cells) == width, line
        rows.append([cell.strip() for cell in cells])
    return rows


class Cells(HTMLParser):
    """The rows of an HTML file's table: the text of each ``td`` (a heading's row has none), and all of its tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self._open = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self._open = True
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "td":
            self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self.rows[-1][-1] += data
