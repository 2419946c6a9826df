"""The context of the job form: its sections, with their fields filled in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from prunescope.jobs.documents import JobKind
from prunescope.server import urls
from prunescope.server.labels import spec_fields
from prunescope.server.new_job.documents import JobForm
from prunescope.server.new_job.fields import Sections
from prunescope.server.new_job.queries import Beginning
from prunescope.server.new_job.sections import sections_of
from prunescope.server.new_job.values import check_given, filled, values_of
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Picker, picker

WITHOUT_FIELDS = ("layers", "seqlens", "allocations", "seeds", "perplexity")
"""Parts of a spec that the form has no fields for and that are more than a value."""


@dataclass(frozen=True)
class FormPage:
    """The context of ``new_job/form.html``; ``began`` is the job that the form was filled in from, ``began_spec`` its
    spec as JSON, with what the form has no field for; that is named in ``kept``."""

    frame: Frame
    document: JobForm
    kind: JobKind
    kinds: Picker
    sections: Sections
    estimate_href: str | None
    example: str
    began: Beginning | None
    began_spec: str
    kept: list[str]
    submit_href: str = urls.api(urls.jobs())
    jobs_href: str = urls.jobs()
    docs_href: str = urls.DOCS


def fill_form(document: JobForm, kind: JobKind, given: Mapping[str, str], began: Beginning | None) -> Sections:
    """``given`` is the query: what it names (model, dense, pruned, task, or any field's path) is filled in, over what
    the job ``began`` had. Problem 422 for what a field cannot hold."""
    before = {} if began is None else values_of(kind, began.spec)
    values = {**before, **given}
    sections = sections_of(kind, document, values)
    check_given(sections, given)
    values.pop("pruned", None)  # known ones are ticked, the others stand in a field of their own
    return {title: [filled(field, values) for field in fields] for title, fields in sections.items()}


def form_page(document: JobForm, kind: JobKind, sections: Sections, frame: Frame, began: Beginning | None) -> FormPage:
    """The page of a form whose fields `fill_form` has filled in."""
    kinds = {each: each.capitalize() for each in document.kinds}
    return FormPage(
        frame=frame,
        document=document,
        kind=kind,
        kinds=picker("Kind of job", kinds, kind, lambda other: urls.new_job(kind=other)),
        sections=sections,
        estimate_href=urls.study_estimate() if kind is JobKind.STUDY else None,
        example=json.dumps({"kind": kind, "spec": document.examples[kind]}, indent=2, ensure_ascii=False),
        began=began,
        began_spec="" if began is None else json.dumps(began.spec),
        kept=[] if began is None else _kept(began.spec, sections),
    )


def _kept(spec: Mapping[str, object], sections: Sections) -> list[str]:
    """What the form has no field for: values with their paths, and the names of parts that are more than a value."""
    paths = {field.path for fields in sections.values() for field in fields}
    whole = [name for name in WITHOUT_FIELDS if spec.get(name) and name not in paths]
    values = [
        f"{path} {value}"
        for path, value in spec_fields(spec).items()
        if path not in paths and value is not None and path.partition(".")[0] not in whole
    ]
    return [*values, *whole]
