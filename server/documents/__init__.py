"""The documents: what every page shows, and word for word what its sister address under ``/api/v1`` answers.

A document carries finished things: addresses (``href``, a page's path), names as people read them (``label``,
``name``) and numbers that are already computed, so that a template computes nothing. What is not a number (the Score
of a neuron that is not ranked, a drop where the dense activation is zero) is None. Fields named in
docs/architecture.md keep their names and meaning; further fields may be added.
"""

from server.documents.attributions import (
    AttributionDocument,
    AttributionSummary,
    ControlsRow,
    ExampleSummary,
    HeatRow,
    LayerHeatmap,
    LayerRow,
    NeuronRow,
    ScoreMap,
    TokenDocument,
    VariantSummary,
    WordRow,
)
from server.documents.base import (
    Document,
    Link,
    Page,
)
from server.documents.evaluations import (
    ChoiceScores,
    EvaluationDocument,
    EvaluationSummary,
    TaskAccuracy,
    TaskExample,
    TaskExamples,
    TextPerplexity,
)
from server.documents.jobs import (
    Choice,
    JobDetail,
    JobDocument,
    JobForm,
    MethodChoice,
    OptionField,
)
from server.documents.models import (
    CalibrationDocument,
    FileDocument,
    LayerDocument,
    MatrixDocument,
    ModelDocument,
    ModelSummary,
    PlacedMatrix,
)
from server.documents.neurons import (
    Controls,
    Example,
    Neighbour,
    Neighbours,
    NeuronDocument,
    NeuronWord,
    Variant,
    WordPlace,
)
from server.documents.site import (
    ErrorPage,
    Home,
    SearchHit,
    SearchResults,
    ShareDocument,
)
from server.documents.studies import (
    StudyCell,
    StudyDocument,
    StudyRow,
    StudySummary,
    StudyTable,
)

__all__ = [
    "AttributionDocument",
    "AttributionSummary",
    "CalibrationDocument",
    "Choice",
    "ChoiceScores",
    "Controls",
    "ControlsRow",
    "Document",
    "ErrorPage",
    "EvaluationDocument",
    "EvaluationSummary",
    "Example",
    "ExampleSummary",
    "FileDocument",
    "HeatRow",
    "Home",
    "JobDetail",
    "JobDocument",
    "JobForm",
    "LayerDocument",
    "LayerHeatmap",
    "LayerRow",
    "Link",
    "MatrixDocument",
    "MethodChoice",
    "ModelDocument",
    "ModelSummary",
    "Neighbour",
    "Neighbours",
    "NeuronDocument",
    "NeuronRow",
    "NeuronWord",
    "OptionField",
    "Page",
    "PlacedMatrix",
    "ScoreMap",
    "SearchHit",
    "SearchResults",
    "ShareDocument",
    "StudyCell",
    "StudyDocument",
    "StudyRow",
    "StudySummary",
    "StudyTable",
    "TaskAccuracy",
    "TaskExample",
    "TaskExamples",
    "TextPerplexity",
    "TokenDocument",
    "Variant",
    "VariantSummary",
    "WordPlace",
    "WordRow",
]
