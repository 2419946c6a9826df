"""The form that starts an attribution."""

from collections.abc import Mapping
from dataclasses import replace

from prunescope.server.new_job.documents import JobForm
from prunescope.server.new_job.fields import Field, Section, checks, model, number, select, shown
from prunescope.server.site.documents import Choice

SPECIAL_TOKENS = [
    Choice(value="", label="left out", note="tokens like <s>, whose activation can dwarf that of all words"),
    Choice(value="true", label="counted", note="tokens like <s> are in the sums of the Score"),
]


def attribute_sections(form: JobForm, given: Mapping[str, str]) -> tuple[Section, ...]:
    """The sections of an attribution's form; `given` is the query."""
    pruned = [model for model in form.models if model.group == "pruned"]
    chosen = given.get("pruned", "")
    offered = {model.value for model in pruned}
    others = [each for each in chosen.split(",") if each and each not in offered]
    rows = "texts.indices" in given
    sources = [Choice(value="", label="automatic", note="the texts' own, else named by the model"), *form.word_sources]
    return (
        Section(
            "Models",
            (
                model("dense", "Dense model", given.get("dense", "demo")),
                checks("pruned", "Pruned variants", pruned, chosen),
                Field(
                    "pruned+",
                    "Other variants",
                    shape="list",
                    value=", ".join(others),
                    hint="any model of the same shape: hub ids or folders below a model root, separated by commas",
                ),
            ),
        ),
        Section(
            "Texts",
            (
                Field(
                    "texts-from",
                    "Where they come from",
                    control="select",
                    choices=(
                        Choice(value="task", label="rows of a task"),
                        *([Choice(value="rows", label="chosen rows of a task")] if rows else []),
                        Choice(value="own", label="my own texts"),
                    ),
                    value="task",
                ),
                shown(
                    select("texts.dataset", "Task", form.tasks, given.get("task", "reviews")),
                    "texts-from=task|rows" if rows else "texts-from=task",
                ),
                *([_rows()] if rows else []),
                shown(number("texts.count", "How many", "10", least="1", most="1000"), "texts-from=task"),
                shown(number("texts.seed", "Seed of the rows", "0", least="0"), "texts-from=task"),
                Field(
                    "texts",
                    "Texts",
                    control="area",
                    shape="texts",
                    hint="an empty line begins the next text",
                    needed=True,
                    when="texts-from=own",
                ),
                Field(
                    "texts-words",
                    "Influential words of the texts",
                    control="area",
                    shape="words",
                    hint="a line for each text, words separated by commas; empty: they are found",
                    when="texts-from=own",
                ),
                shown(
                    select("prompt", "Prompt", form.prompts, "none"),
                    "texts-from=own",
                ),
            ),
        ),
        Section(
            "Settings",
            (
                select("words.source", "Influential words", sources, ""),
                select("activation", "Activation", form.activations, "relu"),
                number("permutations", "Permutations", "1000", least="0", hint="0: no p-values"),
                *_sums(),
                number("seed", "Seed", "0", least="0"),
            ),
        ),
        _causal(form),
    )


def _rows() -> Field:
    """The field of chosen rows, which only a job that has them fills in."""
    hint = "their places from 0, separated by commas"
    return Field("texts.indices", "Rows", shape="numbers", hint=hint, needed=True, when="texts-from=rows")


def _causal(form: JobForm) -> Section:
    """Fields of the causal stage, all but the first shown once a task is chosen."""
    asked = f"causal.task={'|'.join(task.value for task in form.tasks)}"
    tasks = [Choice(value="", label="not asked"), *form.tasks]
    hint = "measures it without the top neurons, and with their weights given back to the pruned models"
    return Section(
        "Causal test",
        (
            select("causal.task", "Task", tasks, "", hint=hint),
            shown(number("causal.limit", "Rows", "200", least="1", hint="the task's first ones"), asked),
            shown(
                number("causal.draws", "Draws", "20", least="2", hint="of as many other neurons of the same layers"),
                asked,
            ),
            shown(
                number("causal.neurons", "Top neurons", "", least="1", hint="empty: 5 % of the ranked, 10 to 100"),
                asked,
            ),
        ),
    )


def _sums() -> tuple[Field, ...]:
    """Fields on what the sums of the Score leave out."""
    floor = "a neuron is ranked from this quantile of its layer's denominators on; 0: all with a positive one"
    special = replace(select("special_tokens", "Special tokens", SPECIAL_TOKENS, ""), shape="flag")
    return (
        replace(number("floor", "Denominator floor", "0.05", least="0", most="0.99", hint=floor), step="any"),
        special,
    )
