"""Job specs: one frozen pydantic model for each kind of job, with the fields of the REST documents.

Defaults are filled in during validation, so that equivalent documents have the same canonical form and fingerprint.
`store/submission.py` checks what the spec alone does not show, such as whether a folder or file exists.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from prunescope.jobs.documents import JobKind
from prunescope.jobs.problems import bad_field, unknown_name
from prunescope.jobs.shape import check_shape
from prunescope.jobs.specs.attribute import AttributeSpec, Reading, Words
from prunescope.jobs.specs.causal import Causal
from prunescope.jobs.specs.corpus import CorpusSpec
from prunescope.jobs.specs.evaluate import EvaluateSpec
from prunescope.jobs.specs.explain import ExplainSpec, Windows
from prunescope.jobs.specs.perplexity import Perplexity
from prunescope.jobs.specs.prune import Allocation, Calibration, Method, NofM, Pattern, PruneSpec, Unstructured
from prunescope.jobs.specs.study import StudyAttribution, StudySpec
from prunescope.jobs.specs.texts import GivenText, TaskRows, TaskTexts
from prunescope.jobs.strict import problem_of

__all__ = [
    "SPECS",
    "Allocation",
    "AttributeSpec",
    "Calibration",
    "Causal",
    "CorpusSpec",
    "EvaluateSpec",
    "ExplainSpec",
    "GivenText",
    "Method",
    "NofM",
    "Pattern",
    "Perplexity",
    "PruneSpec",
    "Reading",
    "Spec",
    "StudyAttribution",
    "StudySpec",
    "TaskRows",
    "TaskTexts",
    "Unstructured",
    "Windows",
    "Words",
    "parse_kind",
    "parse_spec",
]

Spec = PruneSpec | EvaluateSpec | AttributeSpec | StudySpec | ExplainSpec | CorpusSpec

SPECS: dict[JobKind, type[PruneSpec | EvaluateSpec | AttributeSpec | StudySpec | ExplainSpec | CorpusSpec]] = {
    JobKind.PRUNE: PruneSpec,
    JobKind.EVALUATE: EvaluateSpec,
    JobKind.ATTRIBUTE: AttributeSpec,
    JobKind.STUDY: StudySpec,
    JobKind.EXPLAIN: ExplainSpec,
    JobKind.CORPUS: CorpusSpec,
}


def parse_kind(kind: str) -> JobKind:
    """The job kind of this name. Raises Problem (422) for an unknown one."""
    kinds = [str(known) for known in JobKind]
    if kind not in kinds:
        raise bad_field("kind", kind, kinds, unknown_name(kind, kinds))
    return JobKind(kind)


def parse_spec(kind: str, document: Mapping[str, Any]) -> Spec:
    """Validate a spec of this kind and fill in its defaults. Raises Problem (422) that lists each invalid field, its
    value and what is allowed."""
    model = SPECS[parse_kind(kind)]
    check_shape(document)
    if not isinstance(document, Mapping):
        raise bad_field("spec", document, "an object", "is not an object")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise problem_of(error, document) from None
