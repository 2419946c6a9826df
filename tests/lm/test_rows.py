"""The one reader of JSON Lines: what is legal is read, what is not is one line with file, line and column."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunescope.cli.options import text_rows
from prunescope.errors import Refusal
from prunescope.evaluation.catalogue import TASKS
from prunescope.evaluation.rows import read_rows
from prunescope.lm.errors import BadData
from prunescope.lm.rows import MAX_DEPTH, MAX_DIGITS, file_documents, file_text, file_values

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.jsonl"


@given(st.lists(VALUES, max_size=4), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.booleans(), st.booleans())
def test_what_json_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, values: list[object], end: str, mark: bool, plain: bool, blank: bool
) -> None:
    """Whatever separators a string holds (U+2028, U+0085, VT, FF), however lines end, with a byte order mark or not."""
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    lines = [json.dumps(value, ensure_ascii=plain) for value in values]
    text = "".join(line + end + (end * blank) for line in lines)
    path.write_bytes(b"\xef\xbb\xbf" * mark + text.encode("utf-8", "surrogatepass"))
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return
    assert [value for _, value in file_values(path)] == values


@pytest.mark.parametrize("letter", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e"])
def test_separators_inside_strings_in_every_reader(path: Path, letter: str) -> None:
    text = f"Great lamp.{letter}The cable is awful."
    row = json.dumps({"text": text, "label": "negative", "words": ["awful"]}, ensure_ascii=False)
    if letter < " ":
        row = row.replace(letter, f"\\u{ord(letter):04x}")  # JSON has no raw control characters in strings
    path.write_text(f"{row}\n{row}", encoding="utf-8")
    assert file_documents(path) == [text, text]
    assert [found["text"] for found in text_rows(path)] == [text, text]
    assert [found["text"] for found in read_rows(TASKS["reviews"], path)] == [text, text]


GOOD = b'{"text": "fine", "label": "positive"}\n'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", r"line 2: not JSON \(.* at column 2\)"),
        (b'{"text": "a"} {"text": "b"}', r"line 2: not JSON \(Extra data at column 15\)"),
        (b'{"text": "caf\xe9"}', r"line 2: not UTF-8 \(byte 0xe9 at column 14\)"),
        ('{"text": "é"}\0'.encode(), r"line 2: a NUL byte at column 14"),
        (b'{"text": "NaN", "label": NaN}', r"line 2: not JSON \(NaN: not a number in JSON at column 26\)"),
        (b'{"text": "a", "x": -Infinity}', r"line 2: not JSON \(-Infinity: not a number in JSON at column 20\)"),
        (b'{"text": "a", "x": 1e999}', r"line 2: not JSON \(1e999: too large a number at column 20\)"),
        (
            b'{"x": ' + b"9" * (MAX_DIGITS + 1) + b"}",
            rf"line 2: not JSON \(a number of more than {MAX_DIGITS} digits at column 7\)",
        ),
        (
            b'{"x": ' + b"9" * 10**5 + b"}",
            rf"line 2: not JSON \(a number of more than {MAX_DIGITS} digits at column 7\)",
        ),
        (b"[" * 10**5, rf"line 2, column {MAX_DEPTH + 1}: nested deeper than {MAX_DEPTH}"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, rf"line 2, column {5 * MAX_DEPTH + 1}: nested deeper than {MAX_DEPTH}"),
        (b'{"text": "a", "text": "b"}', r"line 2: field 'text' occurs twice in one object, again at column 15"),
    ],
)
def test_what_is_no_json_is_named_by_file_line_and_column(path: Path, line: bytes, said: str) -> None:
    path.write_bytes(GOOD + line + b"\n")
    for read in (
        file_documents,
        lambda file: list(file_values(file)),
        lambda file: read_rows(TASKS["reviews"], file),
        text_rows,
    ):
        with pytest.raises((BadData, Refusal), match=f"{path}, {said}") as raised:
            read(path)
        assert "\n" not in str(raised.value) and len(str(raised.value)) < 300


@pytest.mark.parametrize(
    ("field", "row"),
    [
        ("text", {"text": "half \ud800"}),
        ("label", {"text": "fine", "label": "half \ud800"}),
        ("words", {"text": "fine", "words": ["fine", "half \udfff"]}),
    ],
)
def test_half_a_character_is_named_by_file_line_and_field(path: Path, field: str, row: dict[str, object]) -> None:
    path.write_bytes(GOOD + json.dumps(row).encode() + b"\n")
    with pytest.raises(Refusal, match=f"--texts {path}, line 2: field '{field}' holds half of a character"):
        text_rows(path)


def test_brackets_in_strings_nest_nothing(path: Path) -> None:
    path.write_text(json.dumps({"text": '["{' * 500}) + "\n")
    assert file_documents(path) == ['["{' * 500]


def test_lines_are_counted_however_they_end(path: Path) -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        path.write_bytes(end.join([b'{"text": "a"}', b"", b"{"]))
        with pytest.raises(BadData, match="line 3: not JSON"):
            file_documents(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_utf_16_is_named(path: Path, encoding: str) -> None:
    path.write_text('{"text": "fine"}', encoding=encoding)
    for read in (file_documents, file_text):
        with pytest.raises(BadData, match="not UTF-8 but UTF-16 or UTF-32; save it as UTF-8"):
            read(path)
    path.write_bytes('{"text": "fine"}'.encode("utf-16-le"))
    for read in (file_documents, file_text):
        with pytest.raises(BadData, match=r"NUL byte.*save it as UTF-8"):
            read(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    for place, said in (
        (tmp_path, "Is a directory"),
        (tmp_path / "gone", "No such file"),
        (Path("a\0b"), "not a valid file name"),
    ):
        for read in (file_documents, file_text):
            with pytest.raises(BadData, match=said):
                read(place)
    (tmp_path / "empty.jsonl").write_text("\n \n")
    with pytest.raises(BadData, match="has no rows"):
        file_documents(tmp_path / "empty.jsonl")


def test_running_text_keeps_its_separators(path: Path) -> None:
    path.write_bytes("\ufeffone\u2028two\x85three\r\nfour\rfive\n".encode())
    assert file_text(path) == "one\u2028two\x85three\nfour\nfive\n"
