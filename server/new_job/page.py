"""The context of the job form, with its fields filled in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from prunescope.jobs.documents import JobKind
from prunescope.jobs.labels import spec_fields
from prunescope.server import urls
from prunescope.server.new_job.documents import JobForm
from prunescope.server.new_job.queries import SourceJob
from prunescope.server.new_job.sections import Sections, sections_of
from prunescope.server.new_job.values import check_given, filled, values_of
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Picker, picker

WITHOUT_FIELDS = ("layers", "seqlens", "allocations", "seeds", "perplexity")
"""Fields of a spec that are lists or objects and have no field in the form."""


@dataclass(frozen=True)
class FormPage:
    """The context of ``new_job/form.html``."""

    frame: Frame
    document: JobForm
    kind: JobKind
    kinds: Picker
    sections: Sections
    estimate_href: str | None
    example: str
    began: SourceJob | None  # the job from which the form is filled in
    began_spec: str  # its spec as JSON
    kept: list[str]  # the parts of its spec that are submitted unchanged, because the form has no fields for them
    submit_href: str = urls.api(urls.jobs())
    jobs_href: str = urls.jobs()
    docs_href: str = urls.DOCS


def fill_form(document: JobForm, kind: JobKind, given: Mapping[str, str], began: SourceJob | None) -> Sections:
    """The sections of the form with their fields filled in, from the job ``began`` and from the query ``given``, which
    takes precedence. Raises Problem 422 for a query parameter that `check_given` refuses."""
    before = {} if began is None else values_of(kind, began.spec)
    values = {**before, **given}
    sections = sections_of(kind, document, values)
    check_given(sections, given)
    values.pop("pruned", None)  # `sections_of` has ticked known models and put the others into a separate field
    return {title: [filled(field, values) for field in fields] for title, fields in sections.items()}


def form_page(document: JobForm, kind: JobKind, sections: Sections, frame: Frame, began: SourceJob | None) -> FormPage:
    """The context of a form whose fields `fill_form` has filled in."""
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
    """The parts of a spec for which the form has no field: values with their paths, and names of lists and objects."""
    paths = {field.path for fields in sections.values() for field in fields}
    whole = [name for name in WITHOUT_FIELDS if spec.get(name) and name not in paths]
    values = [
        f"{path} {value}"
        for path, value in spec_fields(spec).items()
        if path not in paths and value is not None and path.partition(".")[0] not in whole
    ]
    return [*values, *whole]
