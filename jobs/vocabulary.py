"""What a spec may name, as data: methods and their options, tasks, calibration sets, word sources, activations.

The numerics have registries of their own that this room may not import; a test holds the two against each other.
"""

from typing import ClassVar, Literal

from pydantic import Field

from prunescope.jobs.strict import Strict


class Magnitude(Strict):
    """The smallest weights of each matrix go; looks at no text."""

    calibrated: ClassVar[bool] = False
    name: Literal["magnitude"] = "magnitude"


class Wanda(Strict):
    """Weight times input norm, compared within each row (Sun et al., arXiv 2306.11695)."""

    calibrated: ClassVar[bool] = True
    name: Literal["wanda"] = "wanda"


class SparseGPT(Strict):
    """What goes is made up for by the weights that stay (Frantar & Alistarh, arXiv 2301.00774)."""

    calibrated: ClassVar[bool] = True
    name: Literal["sparsegpt"] = "sparsegpt"
    damping: float = Field(
        default=0.01,
        gt=0,
        le=1000,
        description="added to the Hessian's diagonal, as a share of its mean",
    )
    block_columns: int = Field(default=128, ge=1, le=1_000_000, description="how many columns share a threshold")


class RIA(Strict):
    """Weight relative to its row and its column, times input norm (Zhang et al., arXiv 2402.05406)."""

    calibrated: ClassVar[bool] = True
    name: Literal["ria"] = "ria"
    exponent: float = Field(default=0.5, ge=0, le=100, description="power of the input norms")
    within: Literal["matrix", "row"] = Field(default="matrix", description="where unstructured scores compete")
    permutation: Literal["none", "reallocation", "assignment"] = Field(
        default="none", description="the order of columns in which n:m holds"
    )
    subgroups: int = Field(
        default=1, ge=1, le=1_000_000, description="of the assignment, which takes long for wide matrices in one piece"
    )


METHODS: dict[str, type[Magnitude | Wanda | SparseGPT | RIA]] = {
    "magnitude": Magnitude,
    "wanda": Wanda,
    "sparsegpt": SparseGPT,
    "ria": RIA,
}
"""Name -> the model of its options; `calibrated` says whether it needs a calibration set."""


class Uniform(Strict):
    """Every layer loses the same share."""

    calibrated: ClassVar[bool] = False
    name: Literal["uniform"] = "uniform"


class OWL(Strict):
    """Layers with more outliers lose less (Yin et al., arXiv 2310.05175); not for n:m."""

    calibrated: ClassVar[bool] = True
    name: Literal["owl"] = "owl"
    outlier: float = Field(default=5.0, gt=0, le=1_000_000, description="times the mean score make an outlier")
    range: float = Field(
        default=0.08, ge=0, le=0.5, description="half the distance between the most and the least pruned layer"
    )


ALLOCATIONS: dict[str, type[Uniform | OWL]] = {"uniform": Uniform, "owl": OWL}
"""Name -> the model of its options; `calibrated` says whether it needs a calibration set, whatever the method."""

GROUPS: tuple[str, ...] = ("sentiment", "question answering", "similarity", "logic")
"""Of tasks, as arXiv 2503.01542 has them."""

TASKS: dict[str, str] = {
    **dict.fromkeys(("sst2", "yelp", "imdb", "sentiment140"), "sentiment"),
    **dict.fromkeys(("arc_challenge", "arc_easy", "openbookqa", "pubmedqa", "boolq", "qnli"), "question answering"),
    **dict.fromkeys(("mrpc", "qqp", "wic", "scitail", "mednli", "rte", "paws"), "similarity"),
    **dict.fromkeys(("copa", "logiqa", "sciq", "winogrande", "wnli", "wsc273", "race"), "logic"),
    "reviews": "sentiment",
}
"""Name -> group: the paper's 24 tasks, and the demo's own."""

LOCAL_TASKS: dict[str, str] = {
    "mednli": "MedNLI is credentialed data of PhysioNet, which no hub may hand on: get mli_dev_v1.jsonl there and put "
    "it into eval/mednli.jsonl of the data folder (PRUNESCOPE_DATA)",
}
"""Tasks that no hub has, and why: their rows come from a local file alone."""

TASKS_WITH_WORDS = frozenset({"reviews"})
"""Tasks whose rows carry influential words of their own."""

PROMPTS: tuple[str, ...] = ("sst2", "yelp", "imdb", "sentiment140", "arc_challenge", "arc_easy", "reviews")
"""Tasks whose prompt goes around one text, so that it can go around another one too."""

LABEL_SOURCES: tuple[str, ...] = ("occlusion", "gradient")
"""Sources of words that measure the right label after its prompt."""

TASKS_WITHOUT_LABEL = frozenset({"paws", "winogrande", "wsc273"})
"""Tasks whose choices have a sentence each, with no label after it."""

EXAMPLE_SETS: tuple[str, ...] = ("arc_challenge", "arc_easy", "boolq", "rte", "sst2", "wnli", "demo")
"""Calibration sets made of examples: a window holds several (mode `concat`) or one, padded (`single`)."""

CALIBRATION_SETS: tuple[str, ...] = ("c4", "wikitext2", "ptb", *EXAMPLE_SETS)

PERPLEXITY_SETS: tuple[str, ...] = ("wikitext2", "ptb", "c4", "demo")
"""Held-out text that perplexity is measured on; a .txt or .jsonl file may stand beside them."""

PERPLEXITY_FILES: tuple[str, ...] = (".txt", ".jsonl")

WORD_SOURCES: tuple[str, ...] = ("manual", "cot", "occlusion", "gradient")

ACTIVATIONS: tuple[str, ...] = ("relu", "abs", "raw")

NO_PROMPT = "none"
"""The prompt that puts nothing around a text."""
