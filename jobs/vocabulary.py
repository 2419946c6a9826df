"""The names that a spec may use: methods and their options, tasks, calibration sets, word sources, activations.

The numerics have their own registries, which this package must not import. A test checks that both agree.
The first line of a method's docstring is its note in the job form.
"""

from typing import ClassVar, Literal

from pydantic import Field

from prunescope.jobs.strict import Strict


class Magnitude(Strict):
    """Removes the smallest weights of each matrix; needs no calibration set."""

    calibrated: ClassVar[bool] = False
    removes: ClassVar[bool] = True
    name: Literal["magnitude"] = "magnitude"


class Wanda(Strict):
    """Removes the weights with the smallest |weight| times input norm of each row (Sun et al., arXiv 2306.11695)."""

    calibrated: ClassVar[bool] = True
    removes: ClassVar[bool] = True
    name: Literal["wanda"] = "wanda"


class SparseGPT(Strict):
    """Removes the weights with the smallest OBS error and updates the others (Frantar & Alistarh, arXiv 2301.00774)."""

    calibrated: ClassVar[bool] = True
    removes: ClassVar[bool] = True
    name: Literal["sparsegpt"] = "sparsegpt"
    damping: float = Field(
        default=0.01,
        gt=0,
        le=1000,
        description="added to the Hessian's diagonal, as a share of its mean",
    )
    block_columns: int = Field(default=128, ge=1, le=1_000_000, description="how many columns share a threshold")


class RIA(Strict):
    """Removes the smallest |weight| relative to row and column, times input norm (Zhang et al., arXiv 2402.05406)."""

    calibrated: ClassVar[bool] = True
    removes: ClassVar[bool] = True
    name: Literal["ria"] = "ria"
    exponent: float = Field(default=0.5, ge=0, le=100, description="power of the input norms")
    within: Literal["matrix", "row"] = Field(default="matrix", description="where unstructured scores are compared")
    permutation: Literal["none", "reallocation", "assignment"] = Field(
        default="none", description="how the order of columns in which n:m holds is chosen"
    )
    subgroups: int = Field(
        default=1, ge=1, le=1_000_000, description="parts that the assignment is split into; faster for wide matrices"
    )


class RandomMask(Strict):
    """A placebo: removes randomly drawn weights, of each row as many as Wanda; needs no calibration set."""

    calibrated: ClassVar[bool] = False
    removes: ClassVar[bool] = True
    name: Literal["random"] = "random"
    seed: int = Field(default=0, ge=0, lt=2**32, description="of the draw")


class Noise(Strict):
    """A placebo: removes nothing, but adds noise with the output error that another method has at this pattern."""

    calibrated: ClassVar[bool] = True
    removes: ClassVar[bool] = False
    name: Literal["noise"] = "noise"
    like: Literal["magnitude", "wanda", "sparsegpt", "ria"] = Field(
        default="wanda", description="the method whose output error the noise has"
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="of the noise")


METHODS: dict[str, type[Magnitude | Wanda | SparseGPT | RIA | RandomMask | Noise]] = {
    "magnitude": Magnitude,
    "wanda": Wanda,
    "sparsegpt": SparseGPT,
    "ria": RIA,
    "random": RandomMask,
    "noise": Noise,
}
"""Name -> class of the method's options. `calibrated` says whether the method needs a calibration set, `removes`
whether it removes the weights of the pattern."""


class Uniform(Strict):
    """Every layer has the same sparsity."""

    calibrated: ClassVar[bool] = False
    name: Literal["uniform"] = "uniform"


class OWL(Strict):
    """Layers with more outlier scores have a lower sparsity (Yin et al., arXiv 2310.05175). Not for n:m patterns."""

    calibrated: ClassVar[bool] = True
    name: Literal["owl"] = "owl"
    outlier: float = Field(
        default=5.0, gt=0, le=1_000_000, description="multiple of the mean score above which a score is an outlier"
    )
    range: float = Field(
        default=0.08, ge=0, le=0.5, description="half the difference between the highest and the lowest sparsity"
    )


ALLOCATIONS: dict[str, type[Uniform | OWL]] = {"uniform": Uniform, "owl": OWL}
"""Name -> class of the allocation's options. `calibrated` says whether the allocation needs a calibration set, even
with a method that needs none."""

GROUPS: tuple[str, ...] = ("sentiment", "question answering", "similarity", "logic")
"""Groups of tasks, as in arXiv 2503.01542."""

TASKS: dict[str, str] = {
    **dict.fromkeys(("sst2", "yelp", "imdb", "sentiment140"), "sentiment"),
    **dict.fromkeys(("arc_challenge", "arc_easy", "openbookqa", "pubmedqa", "boolq", "qnli"), "question answering"),
    **dict.fromkeys(("mrpc", "qqp", "wic", "scitail", "mednli", "rte", "paws"), "similarity"),
    **dict.fromkeys(("copa", "logiqa", "sciq", "winogrande", "wnli", "wsc273", "race"), "logic"),
    "reviews": "sentiment",
}
"""Name -> group: the paper's 24 tasks, and the demo model's task `reviews`."""

LOCAL_TASKS: dict[str, str] = {
    "mednli": "MedNLI is credentialed data of PhysioNet, which no hub may distribute: get mli_dev_v1.jsonl there and "
    "put it into eval/mednli.jsonl of the data folder (PRUNESCOPE_DATA)",
}
"""Task whose rows come only from a local file -> the reason why it is not on the hub."""

TASKS_WITH_WORDS = frozenset({"reviews"})
"""Tasks whose data set gives influential words for its rows."""

PROMPTS: tuple[str, ...] = ("sst2", "yelp", "imdb", "sentiment140", "arc_challenge", "arc_easy", "reviews")
"""Tasks whose prompt is a fixed prefix and suffix around one text, so that it can be used with other texts."""

LABEL_SOURCES: tuple[str, ...] = ("occlusion", "gradient")
"""Word sources that use the log-probability of the right label after the prompt."""

TASKS_WITHOUT_LABEL = frozenset({"paws", "winogrande", "wsc273"})
"""Tasks whose choices are complete sentences, so that there is no label after a prompt."""

EXAMPLE_SETS: tuple[str, ...] = ("arc_challenge", "arc_easy", "boolq", "rte", "sst2", "wnli", "demo")
"""Calibration sets of separate examples: a window holds several (mode `concat`) or one with padding (`single`)."""

CALIBRATION_SETS: tuple[str, ...] = ("c4", "wikitext2", "ptb", *EXAMPLE_SETS)

PERPLEXITY_SETS: tuple[str, ...] = ("wikitext2", "ptb", "c4", "demo")
"""Named held-out texts for perplexity; .txt and .jsonl files are allowed too."""

PERPLEXITY_FILES: tuple[str, ...] = (".txt", ".jsonl")

CORPUS_FILES: tuple[str, ...] = (".txt", ".jsonl")

WORD_SOURCES: tuple[str, ...] = ("auto", "manual", "cot", "cot-free", "occlusion", "gradient")

ACTIVATIONS: tuple[str, ...] = ("relu", "abs", "raw")

NO_PROMPT = "none"
"""The name of the empty prompt."""
