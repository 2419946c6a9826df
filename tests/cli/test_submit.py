"""Validation of YAML files before they are sent."""

from pathlib import Path

import pytest

from prunescope.cli.submit import read_request
from prunescope.errors import Refusal
from prunescope.jobs.bounds import MAX_BODY_BYTES

LAUGHS = "\n".join(
    [
        "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]",
        *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)),
    ]
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prune: " + "[" * 5000 + "]" * 5000, "more than 100 levels deep"),
        ("prune: {a: " + "[" * 50 + "]" * 50 + "}", "more than 32 levels"),
        ("prune: {seed: " + "9" * 4000 + "}", "prune.seed: an integer of 13288 bits"),
        ("prune: {seed: " + "9" * 5000 + "}", "digits"),
        ("prune:\n  " + LAUGHS.replace("\n", "\n  "), "when its aliases are written out"),
        ("prune: &a {again: *a}", "more than 100 levels deep"),
        ("prune: {name: !!binary aGVsbG8=}", "has no equivalent in JSON"),
        ("prune: {1.5: a}", "put it in quotes"),
        ('prune: {name: "\\ud800"}', "half of a surrogate pair"),
        ("prune: !!python/object:os.system {}", "is not valid YAML"),
        ("x" * (MAX_BODY_BYTES + 1), "may carry 8 MiB"),
        ("", "a job has 'kind'"),
    ],
)
def test_a_file_that_no_request_can_hold_is_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(Refusal) as caught:
        read_request(file)
    assert says in str(caught.value) and str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_device_is_not_read() -> None:
    with pytest.raises(Refusal, match="is a device"):
        read_request(Path("/dev/zero"))


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "job.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Refusal, match=r"cannot be read|No such file"):
        read_request(file)


def test_what_fits_is_a_request(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("evaluate: {model: demo, tasks: &tasks [reviews], seed: 1}\n", encoding="utf-8")
    assert read_request(file) == {"kind": "evaluate", "spec": {"model": "demo", "tasks": ["reviews"], "seed": 1}}
