"""A study and its accuracy tables."""

from datetime import datetime
from typing import Literal

from jobs.documents import JobState
from server.documents.base import Document, Link
from server.documents.jobs import JobDocument


class StudyCell(Document):
    """A measured cell: the mean over the axes that the table does not show."""

    accuracy: float | None
    dense: float | None
    difference: float | None
    interval: tuple[float, float] | None  # when the cell is one measurement
    at_chance: bool  # its interval, or its value, holds chance
    best: bool  # of its row
    measurements: int  # how many it is the mean of
    done: int  # how many of them are there
    state: JobState  # succeeded only when all of its measurements did
    href: str | None  # the examples of its measurement
    model_href: str | None = None  # the pruned model, when all of it was measured on one that is there
    published: float | None = None  # what the paper prints at this place, in the table that was asked for


class StudyRow(Document):
    label: str
    group: str | None
    dense: float | None
    chance: float | None
    spread: float | None  # largest minus smallest of the row
    cells: list[StudyCell | None]


class StudyTable(Document):
    rows_axis: str
    columns_axis: str
    columns: list[str]
    rows: list[StudyRow]
    averaged: list[str]  # axes with more than one value that the cells average over
    largest_difference: float


class StudySummary(Document):
    id: str
    title: str
    state: JobState
    cells: int
    done: int
    failed: int
    job: Link
    created_at: datetime | None = None
    href: str


class StudyDocument(StudySummary):
    """A study with one table; ``rows`` and ``columns`` in the query choose its axes, ``tables`` are the usual pairs."""

    spec: dict[str, object]
    axes: dict[str, list[str]]  # "task": ["sst2", ...]
    show: Literal["accuracy", "difference"]
    published: str | None  # the paper's table that is laid beside
    published_tables: list[str]  # those that have a value for a cell of this table
    table: StudyTable
    tables: list[Link]
    models: list[Link]  # the pruned ones that are there
    attributions: list[Link]
    jobs: list[JobDocument]
