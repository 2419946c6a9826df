"""The sections and fields of the job form, for each kind of job."""

from collections.abc import Mapping
from dataclasses import replace

from prunescope.jobs.bounds import DEFAULT_PLACEBO, DEFAULT_TEXTS
from prunescope.jobs.documents import JobKind
from prunescope.jobs.specs.explain import DEFAULT_COUNTS
from prunescope.server.new_job.documents import JobForm, MethodChoice
from prunescope.server.new_job.fields import (
    BOS,
    CORPUS_SINKS,
    EXPLAINED_ROWS,
    EXPLAINED_SINKS,
    EXPLAINED_SOURCES,
    HEADS,
    MODES,
    NEWLINES,
    PATTERN,
    PATTERN_HINT,
    RANKED_BY,
    SEQLEN_HINT,
    SINKS,
    SPECIAL_TOKENS,
    WORD_KINDS,
    WRITES,
    Field,
    Sections,
    area,
    checks,
    model,
    models,
    number,
    numbers,
    select,
)
from prunescope.server.new_job.limits import Limits, limits_of
from prunescope.server.site.documents import Choice

FILE_HINT = "a .txt, .jsonl or .safetensors file below a model root, in place of the text"
TEXTS_HINT = "demo, wikitext2, ptb, c4, or .txt or .jsonl files"
LAYERS_HINT = "separated by commas, from 0; empty: all"

LEFT_OUT: dict[JobKind, dict[str, str]] = {
    JobKind.PRUNE: {},
    JobKind.EVALUATE: {},
    JobKind.ATTRIBUTE: {
        "texts.words": "words of rows are given to own texts instead",
        "texts.label": "labels are those of a task's rows",
    },
    JobKind.EXPLAIN: {},
    JobKind.CORPUS: {},
    JobKind.STUDY: {
        "methods": "options of methods: each has its defaults",
        "allocations": "options of allocations: each has its defaults",
        "calibrations.file": "own files",
        "calibrations.mode": "examples fill windows",
        "calibrations.seed": "`seeds` has them",
        "attributions": "all but the task: ten of its rows, with the defaults of an attribution",
    },
}
"""Path in a spec -> why the form has no field for it and what is below it. A job that has such values keeps them if it
is edited; other jobs have them from YAML or REST."""


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
    limits = limits_of(kind)
    return {
        title: [_limited(field, limits.get(field.path, Limits())) for field in fields]
        for title, fields in make[kind](form, given).items()
    }


def _limited(field: Field, limits: Limits) -> Field:
    return replace(field, least=limits.least, most=limits.most) if field.control == "number" else field


def _prune(form: JobForm, given: Mapping[str, str]) -> Sections:
    calibrated = "method.name=" + "|".join(method.value for method in form.methods if method.needs_calibration)
    examples = "|".join(each.value for each in form.calibration_sets if each.group == "examples")
    calibration = [
        select("calibration.dataset", "Text", form.calibration_sets, value="demo"),
        Field("calibration.file", "Or an own file", hint=FILE_HINT),
        select(
            "calibration.mode",
            "Pack examples into windows",
            MODES,
            value="concat",
            when=f"calibration.dataset={examples}",
        ),
        number("calibration.samples", "Samples", value="32", hint="windows of text"),
        number("calibration.seqlen", "Sequence length", value="128", hint=SEQLEN_HINT),
        select("calibration.bos", "Windows begin with BOS", BOS, value="auto"),
        number("calibration.seed", "Seed", value="0"),
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
            number("limit", "Rows of each", value="100", hint="empty: all of them"),
            select("newline", "Prompt lines end in", NEWLINES, value="real"),
            number("seed", "Seed", value="0"),
        ],
        "Perplexity": _perplexity(),
    }


def _perplexity() -> list[Field]:
    """The fields of perplexity on held-out texts; the others count only if a text is named."""
    return [
        Field("perplexity.datasets", "Texts", shape="list", hint=f"{TEXTS_HINT}; empty: none"),
        number("perplexity.seqlen", "Sequence length", hint=SEQLEN_HINT),
        number("perplexity.windows", "Windows of each", hint="empty: all, of c4 the first 256"),
        select("perplexity.bos", "Windows begin with BOS", BOS, value="auto"),
    ]


def _attribute(form: JobForm, given: Mapping[str, str]) -> Sections:
    pruned = [choice for choice in form.models if choice.group == "pruned"]
    chosen = given.get("pruned", "")
    offered = {choice.value for choice in pruned}
    others = [each for each in chosen.split(",") if each and each not in offered]
    return {
        "Models": [
            model("dense", "Dense model", value=given.get("dense", "demo")),
            checks("pruned", "Pruned variants", pruned, value=chosen),
            models(
                "pruned+",
                "Other variants",
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
                hint="other words in place of the influential ones, from which p-values come; 0: none, or at least 20",
            ),
            number(
                "permutations",
                "Permutations",
                value="1000",
                hint="for p-values without placebo draws, which treat all tokens alike; 0: no p-values",
            ),
            number(
                "floor",
                "Denominator floor",
                value="0.05",
                step="any",
                hint="a neuron is ranked from this quantile of its layer's denominators on; 0: all with a positive one",
            ),
            numbers("layers", "Layers", hint=LAYERS_HINT),
            select("special_tokens", "Special tokens", SPECIAL_TOKENS, shape="flag"),
            select("sinks", "Position 0 and sinks", SINKS, shape="flag"),
            number("seed", "Seed", value="0"),
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
        number("texts.count", "How many", value=str(DEFAULT_TEXTS), when=of_task),
        number("texts.seed", "Seed of the rows", value="0", when=of_task),
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
        number("causal.limit", "Rows", value="200", hint="the task's first ones", when=asked),
        number(
            "causal.draws",
            "Draws",
            value="20",
            hint="of as many similar neurons of the same layers",
            when=asked,
        ),
        number("causal.neurons", "Top neurons", hint="empty: 5 % of the ranked, 10 to 100", when=asked),
        numbers("causal.layers", "Layers of these neurons", hint=LAYERS_HINT, when=asked),
    ]


def _study(form: JobForm, given: Mapping[str, str]) -> Sections:
    neurons = [Choice(value="", label="no attribution"), *form.tasks]
    return {
        "Models": [
            Field("name", "Name", placeholder="What is compared"),
            models(
                "models",
                "Models",
                value=given.get("model", "demo"),
                needed=True,
                hint="separated by commas",
            ),
        ],
        "Ways of pruning": [
            checks("methods", "Methods", form.methods, value="wanda,magnitude"),
            Field("patterns", "Patterns", shape="list", value="0.5, 2:4", needed=True, hint=PATTERN_HINT),
            checks("calibrations", "Calibration sets", form.calibration_sets, value="demo"),
            checks("allocations", "Sparsity allocations", form.allocations, value="uniform"),
            number("calibrations.samples", "Samples", value="32"),
            number("calibrations.seqlen", "Sequence length", value="128"),
            select("calibrations.bos", "Windows begin with BOS", BOS, value="auto"),
            numbers("seqlens", "Several sequence lengths", hint="compared; empty: only the one above"),
            numbers("seeds", "Seeds", hint="of the calibration sets, compared; empty: 0"),
        ],
        "What is measured": [
            checks("tasks", "Tasks", form.tasks, value="reviews"),
            number("limit", "Rows of each", value="100", hint="empty: all of them"),
            select("newline", "Prompt lines end in", NEWLINES, value="real"),
            select(
                "attribution", "Neurons", neurons, value="reviews", hint="ten of its rows through every pruned model"
            ),
        ],
        "Perplexity": _perplexity(),
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
                hint=f"{TEXTS_HINT} below a model root",
                needed=True,
                when="explained-from=text",
            ),
            number("perplexity.seqlen", "Sequence length", hint=SEQLEN_HINT, when="explained-from=text"),
            select("perplexity.bos", "Windows begin with BOS", BOS, value="auto", when="explained-from=text"),
            number("limit", "Rows or windows", value="200", hint="the first ones; half rank the neurons"),
            select("rows", "Those that count", EXPLAINED_ROWS),
        ],
        "Settings": [
            select("content", "Ranked by", RANKED_BY, shape="flag"),
            select("heads", "Attention heads", HEADS, shape="flag"),
            select("sinks", "Position 0, special tokens", EXPLAINED_SINKS, shape="flag"),
            number("draws", "Random draws", value="5", hint="of as many neurons in the same layers"),
            Field(
                "neurons",
                "Numbers of neurons",
                shape="numbers",
                value=", ".join(map(str, DEFAULT_COUNTS)),
                hint="of which it is measured what they restore; 5 % of all, and all, are added",
            ),
            number("steps", "Steps of integrated gradients", value="8"),
            number("seed", "Seed", value="0"),
        ],
    }


def _corpus(form: JobForm, given: Mapping[str, str]) -> Sections:
    names = ", ".join(each.value for each in form.calibration_sets)
    return {
        "Models": [
            models(
                "models",
                "Models",
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
            number("tokens", "Tokens", value="100000", hint="at most; fewer if the text ends"),
            number("seqlen", "Sequence length", hint="empty: 256, or the model's context if that is shorter"),
        ],
        "Settings": [
            number("examples", "Examples", value="10", hint="kept for each neuron and each sign"),
            select("writes", "Tokens that neurons write", WRITES, shape="flag"),
            select("sinks", "Position 0 and sinks", CORPUS_SINKS, shape="flag"),
            numbers("layers", "Layers", hint=LAYERS_HINT),
            number("seed", "Seed", value="0", hint="of the order of the texts and the sampled tokens"),
        ],
    }
