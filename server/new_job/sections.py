"""The sections and fields of the job form, for each kind of job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from prunescope.jobs.bounds import DEFAULT_PLACEBO, DEFAULT_TEXTS
from prunescope.jobs.documents import JobKind
from prunescope.jobs.specs.explain import DEFAULT_COUNTS
from prunescope.server.new_job.documents import JobForm, MethodChoice
from prunescope.server.site.documents import Choice

Control = Literal["text", "number", "select", "checks", "area", "models"]
Shape = Literal["text", "number", "flag", "list", "numbers", "texts", "words"]
"""The type of a field's value in the spec; the form's script converts the text to it."""


@dataclass(frozen=True)
class Field:
    """One field of the form. ``value`` of checkboxes is a list of the ticked ones, separated by commas."""

    path: str  # the place of the value in the spec, such as "method.name"
    label: str
    choices: Sequence[Choice] = ()
    control: Control = "text"
    shape: Shape = "text"
    value: str = ""
    hint: str = ""
    placeholder: str = ""
    needed: bool = False
    least: str = ""
    most: str = ""
    step: str = ""
    pattern: str = ""
    when: str = ""  # condition under which the field is shown: path=value|value

    @property
    def groups(self) -> dict[str, list[Choice]]:
        """Heading -> checkboxes; the heading is empty if all have the same one."""
        titles = dict.fromkeys(each.group or "" for each in self.choices)
        return {
            title if len(titles) > 1 else "": [each for each in self.choices if (each.group or "") == title]
            for title in titles
        }


Sections = dict[str, list[Field]]
"""Heading of a section -> its fields."""

number = partial(Field, control="number", shape="number", step="1")
select = partial(Field, control="select")
checks = partial(Field, control="checks", shape="list")
area = partial(Field, control="area")
model = partial(
    Field,
    control="models",
    hint="demo, a hub id (with @revision), pruned:<id>, or a folder below a model root",
    needed=True,
)
"""A text field for a model's reference that suggests the known models."""

PATTERN_HINT = "a sparsity from 0 to below 1, such as 0.5; or n:m, such as 2:4, which keeps n of every m weights"
PATTERN = r"\s*(0?\.\d+|0|\d+\s*:\s*\d+)\s*"
SEQLEN_HINT = "empty: the model's context, at most 2048"
NEWLINES = [
    Choice(value="real", label="line breaks"),
    Choice(value="literal", label="a backslash and an n", note="as the paper's Figure 1 shows its prompt"),
]
MODES = [
    Choice(value="concat", label="yes, several fill a window"),
    Choice(value="single", label="no, one in each window", note="windows are as long as the longest of them"),
]
BOS = [
    Choice(value="auto", label="where the tokenizer puts one"),
    Choice(value="always", label="always"),
    Choice(value="never", label="never", note="as the published code cuts running text"),
]
WORD_KINDS = [
    Choice(value="", label="all words"),
    Choice(value="true", label="content words", note="without English function words, numbers and punctuation"),
]
SPECIAL_TOKENS = [
    Choice(value="", label="left out", note="tokens like <s>, whose activation can dwarf that of all words"),
    Choice(value="true", label="counted", note="tokens like <s> are in the sums of the Score"),
]
EXPLAINED_ROWS = [
    Choice(value="", label="automatic", note="rows that pruning broke; of a text, windows whose loss rose"),
    Choice(value="broken", label="rows that pruning broke", note="right in the dense model, wrong in the pruned one"),
    Choice(value="fell", label="rows whose margin fell", note="also those that are still right"),
    Choice(value="all", label="all"),
]
EXPLAINED_SOURCES = [
    Choice(value="task", label="the answers to a task"),
    Choice(value="text", label="the loss on a text", note="windows of held-out text; the margin is minus their loss"),
]
HEADS = [
    Choice(value="", label="measured too"),
    Choice(value="false", label="left out"),
]
RANKED_BY = [
    Choice(value="", label="lost-margin share"),
    Choice(value="true", label="its content", note="without the shift of the answers towards one label"),
]
WRITES = [
    Choice(value="", label="computed", note="those whose logits its output weights raise and lower most"),
    Choice(value="false", label="left out"),
]
EXPLAINED_SINKS = [
    Choice(value="", label="left out", note="a model may put activations there that dwarf all others"),
    Choice(value="true", label="counted"),
]
SINKS = [
    Choice(value="", label="left out", note="the first token of every text, and tokens with massive hidden states"),
    Choice(value="true", label="counted", note="as any other token; the first one can decide all Scores"),
]
CORPUS_SINKS = [
    Choice(value="", label="left out", note="the first token of every window, and tokens with massive hidden states"),
    Choice(value="true", label="counted", note="as any other token; without BOS, the first is then most examples"),
]


def sections_of(kind: JobKind, form: JobForm, given: Mapping[str, str]) -> Sections:
    """The sections of the form for one kind of job. ``given`` (path -> value) sets models, task and chosen rows."""
    make = {
        JobKind.PRUNE: _prune,
        JobKind.EVALUATE: _evaluate,
        JobKind.ATTRIBUTE: _attribute,
        JobKind.STUDY: _study,
        JobKind.EXPLAIN: _explain,
        JobKind.CORPUS: _corpus,
    }
    return make[kind](form, given)


def _prune(form: JobForm, given: Mapping[str, str]) -> Sections:
    calibrated = "method.name=" + "|".join(method.value for method in form.methods if method.needs_calibration)
    examples = "|".join(each.value for each in form.calibration_sets if each.group == "examples")
    calibration = [
        select("calibration.dataset", "Text", form.calibration_sets, value="demo"),
        select(
            "calibration.mode",
            "Pack examples into windows",
            MODES,
            value="concat",
            when=f"calibration.dataset={examples}",
        ),
        number("calibration.samples", "Samples", value="32", least="1", hint="windows of text"),
        number("calibration.seqlen", "Sequence length", value="128", least="2", hint=SEQLEN_HINT),
        select("calibration.bos", "Windows begin with BOS", BOS, value="auto"),
        number("calibration.seed", "Seed", value="0", least="0"),
    ]
    return {
        "Model": [model("model", "Model", value=given.get("model", "demo"))],
        "Method": [
            select("method.name", "Method", form.methods, value="wanda"),
            Field("pattern", "Pattern", value="0.5", hint=PATTERN_HINT, needed=True, pattern=PATTERN),
            *_options("method", form.methods),
            select("allocation.name", "Sparsity allocation", form.allocations, value="uniform"),
            *_options("allocation", form.allocations),
        ],
        "Calibration": [replace(field, when=field.when or calibrated) for field in calibration],
    }


def _options(path: str, methods: list[MethodChoice]) -> list[Field]:
    """The fields of all options of methods or allocations; each is shown if its method is chosen."""
    fields = []
    for method in methods:
        for option in method.options:
            choices = [Choice(value=name, label=name) for name in option.allowed or ()]
            numeric = option.type in {"number", "integer"}
            fields.append(
                Field(
                    f"{path}.{option.name}",
                    option.name.replace("_", " ").capitalize(),
                    choices,
                    control="select" if choices else "number" if numeric else "text",
                    shape="number" if numeric else "text",
                    value="" if option.default is None else str(option.default),
                    hint=option.note or "",
                    step="any" if option.type == "number" else "",
                    when=f"{path}.name={method.value}",
                )
            )
    return fields


def _evaluate(form: JobForm, given: Mapping[str, str]) -> Sections:
    return {
        "Model": [model("model", "Model", value=given.get("model", "demo"))],
        "Tasks": [
            checks("tasks", "Tasks", form.tasks, value=given.get("task", "reviews")),
            number("limit", "Rows of each", value="100", least="1", hint="empty: all of them"),
            select("newline", "Prompt lines end in", NEWLINES, value="real"),
            number("seed", "Seed", value="0", least="0"),
        ],
    }


def _attribute(form: JobForm, given: Mapping[str, str]) -> Sections:
    pruned = [choice for choice in form.models if choice.group == "pruned"]
    chosen = given.get("pruned", "")
    offered = {choice.value for choice in pruned}
    others = [each for each in chosen.split(",") if each and each not in offered]
    return {
        "Models": [
            model("dense", "Dense model", value=given.get("dense", "demo")),
            checks("pruned", "Pruned variants", pruned, value=chosen),
            Field(
                "pruned+",
                "Other variants",
                shape="list",
                value=", ".join(others),
                hint="any model of the same shape: hub ids or folders below a model root, separated by commas",
            ),
        ],
        "Texts": _texts(form, given),
        "Settings": [
            select("words.source", "Influential words", form.word_sources, value="auto"),
            select("words.content", "Kinds of words", WORD_KINDS, shape="flag"),
            select("activation", "Activation", form.activations, value="relu"),
            number(
                "placebo",
                "Placebo draws",
                value=str(DEFAULT_PLACEBO),
                least="0",
                hint="other words in place of the influential ones, from which p-values come; 0: none, or at least 20",
            ),
            number(
                "permutations",
                "Permutations",
                value="1000",
                least="0",
                hint="for p-values without placebo draws, which treat all tokens alike; 0: no p-values",
            ),
            number(
                "floor",
                "Denominator floor",
                value="0.05",
                least="0",
                most="0.99",
                step="any",
                hint="a neuron is ranked from this quantile of its layer's denominators on; 0: all with a positive one",
            ),
            select("special_tokens", "Special tokens", SPECIAL_TOKENS, shape="flag"),
            select("sinks", "Position 0 and sinks", SINKS, shape="flag"),
            number("seed", "Seed", value="0", least="0"),
        ],
        "Causal test": _causal(form),
    }


def _texts(form: JobForm, given: Mapping[str, str]) -> list[Field]:
    """The fields for rows of a task or own texts. Rows by index have a field only if ``given`` has indices."""
    sources = [Choice(value="task", label="rows of a task"), Choice(value="own", label="my own texts")]
    rows = []
    if "texts.indices" in given:
        sources.insert(1, Choice(value="rows", label="chosen rows of a task"))
        hint = "their places from 0, separated by commas"
        rows = [Field("texts.indices", "Rows", shape="numbers", hint=hint, needed=True, when="texts-from=rows")]
    of_task, of_rows, own = "texts-from=task", "texts-from=task|rows" if rows else "texts-from=task", "texts-from=own"
    return [
        select("texts-from", "Where they come from", sources, value="task"),
        select("texts.dataset", "Task", form.tasks, value=given.get("task", "reviews"), when=of_rows),
        *rows,
        number("texts.count", "How many", value=str(DEFAULT_TEXTS), least="1", most="1000", when=of_task),
        number("texts.seed", "Seed of the rows", value="0", least="0", when=of_task),
        area("texts", "Texts", shape="texts", hint="an empty line begins the next text", needed=True, when=own),
        area(
            "texts-words",
            "Influential words of the texts",
            shape="words",
            hint="a line for each text, words separated by commas; empty: they are found",
            when=own,
        ),
        select("prompt", "Prompt", form.prompts, value="none", when=own),
    ]


def _causal(form: JobForm) -> list[Field]:
    """The fields of the causal stage. All except the first are shown only if a task is chosen."""
    asked = f"causal.task={'|'.join(task.value for task in form.tasks)}"
    return [
        select(
            "causal.task",
            "Task",
            [Choice(value="", label="not asked"), *form.tasks],
            hint="measures it without the top neurons, and with their weights given back to the pruned models",
        ),
        number("causal.limit", "Rows", value="200", least="1", hint="the task's first ones", when=asked),
        number(
            "causal.draws",
            "Draws",
            value="20",
            least="2",
            hint="of as many similar neurons of the same layers",
            when=asked,
        ),
        number("causal.neurons", "Top neurons", least="1", hint="empty: 5 % of the ranked, 10 to 100", when=asked),
    ]


def _study(form: JobForm, given: Mapping[str, str]) -> Sections:
    neurons = [Choice(value="", label="no attribution"), *form.tasks]
    return {
        "Models": [
            Field("name", "Name", placeholder="What is compared"),
            Field(
                "models",
                "Models",
                shape="list",
                value=given.get("model", "demo"),
                needed=True,
                hint="separated by commas",
            ),
        ],
        "Ways of pruning": [
            checks("methods", "Methods", form.methods, value="wanda,magnitude"),
            Field("patterns", "Patterns", shape="list", value="0.5, 2:4", needed=True, hint=PATTERN_HINT),
            checks("calibrations", "Calibration sets", form.calibration_sets, value="demo"),
            number("calibrations.samples", "Samples", value="32", least="1"),
            number("calibrations.seqlen", "Sequence length", value="128", least="2"),
            select("calibrations.bos", "Windows begin with BOS", BOS, value="auto"),
        ],
        "What is measured": [
            checks("tasks", "Tasks", form.tasks, value="reviews"),
            number("limit", "Rows of each", value="100", least="1", hint="empty: all of them"),
            select("newline", "Prompt lines end in", NEWLINES, value="real"),
            select(
                "attribution", "Neurons", neurons, value="reviews", hint="ten of its rows through every pruned model"
            ),
        ],
    }


def _explain(form: JobForm, given: Mapping[str, str]) -> Sections:
    return {
        "Models": [
            model("dense", "Dense model", value=given.get("dense", "demo")),
            model("pruned", "Pruned model", value=given.get("pruned", "")),
        ],
        "What is explained": [
            select("explained-from", "What was measured", EXPLAINED_SOURCES, value="task"),
            select("task", "Task", form.tasks, value=given.get("task", "reviews"), when="explained-from=task"),
            Field(
                "perplexity.dataset",
                "Text",
                value="demo",
                hint="demo, wikitext2, ptb, c4, or a .txt or .jsonl file below a model root",
                needed=True,
                when="explained-from=text",
            ),
            number("perplexity.seqlen", "Sequence length", least="2", hint=SEQLEN_HINT, when="explained-from=text"),
            number("limit", "Rows or windows", value="200", least="4", hint="the first ones; half rank the neurons"),
            select("rows", "Those that count", EXPLAINED_ROWS),
        ],
        "Settings": [
            select("content", "Ranked by", RANKED_BY, shape="flag"),
            select("heads", "Attention heads", HEADS, shape="flag"),
            select("sinks", "Position 0, special tokens", EXPLAINED_SINKS, shape="flag"),
            number("draws", "Random draws", value="5", least="2", hint="of as many neurons in the same layers"),
            Field(
                "neurons",
                "Numbers of neurons",
                shape="numbers",
                value=", ".join(map(str, DEFAULT_COUNTS)),
                hint="of which it is measured what they restore; 5 % of all, and all, are added",
            ),
            number("steps", "Steps of integrated gradients", value="8", least="1"),
            number("seed", "Seed", value="0", least="0"),
        ],
    }


def _corpus(form: JobForm, given: Mapping[str, str]) -> Sections:
    names = ", ".join(each.value for each in form.calibration_sets)
    return {
        "Models": [
            Field(
                "models",
                "Models",
                shape="list",
                value=given.get("models", "demo"),
                needed=True,
                hint="the dense model first, then variants of it, separated by commas",
            ),
        ],
        "Text": [
            Field(
                "dataset",
                "Text",
                value="demo",
                needed=True,
                hint=f"{names}, or a .txt or .jsonl file",
            ),
            number("tokens", "Tokens", value="100000", least="1000", hint="at most; fewer if the text ends"),
            number(
                "seqlen", "Sequence length", least="2", hint="empty: 256, or the model's context if that is shorter"
            ),
        ],
        "Settings": [
            number("examples", "Examples", value="10", least="1", most="50", hint="kept for each neuron and each sign"),
            select("writes", "Tokens that neurons write", WRITES, shape="flag"),
            select("sinks", "Position 0 and sinks", CORPUS_SINKS, shape="flag"),
            Field("layers", "Layers", shape="numbers", hint="separated by commas; empty: all"),
            number("seed", "Seed", value="0", least="0", hint="of the order of the texts and the sampled tokens"),
        ],
    }
