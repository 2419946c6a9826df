"""The own-text form on the pages of an attribution and its neurons, and the list of other texts of its models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query

from prunescope.jobs.bounds import MAX_TEXT_CHARACTERS
from prunescope.jobs.labels import WORD_SOURCES, Described, attribution_facts, told_apart
from prunescope.jobs.neurons import parse_neuron
from prunescope.jobs.vocabulary import NO_PROMPT, PROMPTS, TASKS
from prunescope.server import urls
from prunescope.server.attributions.documents import OtherText, OwnTextForm
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.site import formats
from prunescope.server.site.documents import Choice
from prunescope.server.stores import Stores

SENTIMENT = "sentiment"
"""The group of tasks whose prompts name the labels, so that the model can predict the label of an own text."""
MAX_OTHERS = 50
"""Maximum number of other texts in the list."""
MAX_LABEL = 80
"""Maximum length, in characters, of an own text's label."""


@dataclass(frozen=True)
class TextPanel:
    """The own-text form and the list of other texts."""

    form: OwnTextForm
    action: str  # the address that the form is sent to; a GET lists the own texts
    others: Sequence[OtherText]
    given: Mapping[str, str]  # submitted text, label and source, shown again
    wrong: str  # why the submitted text was refused; otherwise empty
    longest: int = MAX_TEXT_CHARACTERS


@dataclass(frozen=True)
class Target:
    """The attribution whose models process an own text, and the neuron and variant that the link to the result shows.

    Used as a dependency of routes.
    """

    attribution: str
    neuron: Annotated[str | None, Query(description="L15/N2194: then_href leads to this neuron")] = None
    variant: Annotated[str | None, Query(description="a pruned variant: then_href shows it")] = None

    def check(self) -> None:
        """Raise Problem 422 if the neuron's name cannot be parsed."""
        if self.neuron is not None:
            parse_neuron(self.neuron)

    @property
    def state(self) -> dict[str, urls.State]:
        """Neuron and variant as the query of an address."""
        return {"neuron": self.neuron, "variant": self.variant}

    def result_href(self, attribution: str) -> str:
        """The address of the resulting attribution, or of the neuron in it. Raises Problem 422 like `check`."""
        if self.neuron is None:
            return urls.attribution(attribution, variant=self.variant)
        return urls.neuron(attribution, *parse_neuron(self.neuron), variant=self.variant)


def text_panel(
    target: Target,
    form: OwnTextForm,
    others: Sequence[OtherText] = (),
    *,
    given: Mapping[str, str] | None = None,
    wrong: str = "",
) -> TextPanel:
    """The form for own texts of ``target``. The links of ``others`` show the neuron and variant of ``target``."""
    return TextPanel(
        form=form,
        action=urls.attribution_texts(target.attribution, **target.state),
        others=[each.model_copy(update={"href": target.result_href(each.id)}) for each in others],
        given=given or {},
        wrong=wrong,
    )


def own_text_form(opened: OpenAttribution) -> OwnTextForm:
    """The options of the form, and the settings that an own text inherits from the attribution."""
    prompt, note = own_prompt(opened.spec)
    layers = opened.spec.get("layers")
    settings = (
        *(variant.label for variant in opened.variants),
        f"activation {opened.summary.activation}",
        f"layers {', '.join(map(str, layers))}" if layers else "all layers",
        f"prompt {prompt}",
    )
    return OwnTextForm(
        sources=[Choice(value=name, label=label) for name, label in WORD_SOURCES.items()],
        source=own_source(opened.spec),
        labels=sorted({example.label for example in opened.examples if example.label}),
        prompt=prompt,
        prompt_note=note,
        settings=" · ".join(settings),
    )


def own_prompt(spec: Mapping[str, Any]) -> tuple[str, str | None]:
    """(prompt around an own text, why it differs from the attribution's prompt or None)."""
    prompt = str(spec.get("prompt") or NO_PROMPT)
    if prompt in (NO_PROMPT, *PROMPTS):
        return prompt, None
    return NO_PROMPT, f"no prompt goes around it: that of {prompt} is made from several fields of its rows"


def own_source(spec: Mapping[str, Any]) -> str:
    """The default word source of an own text: the attribution's word source. In place of ``manual`` it is ``occlusion``
    if the model can predict a label with the attribution's prompt, otherwise ``auto``."""
    source = str(spec["words"]["source"])
    if source != "manual":
        return source
    return "occlusion" if answers_with_a_label(own_prompt(spec)[0]) else "auto"


def answers_with_a_label(prompt: str) -> bool:
    """Whether the model can predict a label with this prompt: the prompts of sentiment tasks name the labels."""
    return TASKS.get(prompt, SENTIMENT) == SENTIMENT


def other_texts(stores: Stores, opened: OpenAttribution) -> list[OtherText]:
    """Other attributions of the same models, newest first."""
    same = stores.results.of_models(opened.spec["dense"], opened.spec["pruned"], MAX_OTHERS + 1)
    records = [record for record in same if record.id != opened.id][:MAX_OTHERS]
    labels = told_apart(
        [
            Described(_beginning(record.spec["texts"]), (*attribution_facts(record.spec), f"#{record.id}"))
            for record in records
        ]
    )
    return [
        OtherText(
            id=record.id,
            label=label,
            note=_note(record.spec),
            own=isinstance(record.spec["texts"], list),
            created_at=record.created_at,
            href=urls.attribution(record.id),
        )
        for record, label in zip(records, labels, strict=True)
    ]


def _beginning(texts: Any) -> str:
    """The start of the first own text, or the name of the task."""
    label = " ".join(str(texts[0]["text"]).split()) if isinstance(texts, list) else str(texts["dataset"])
    return label if len(label) <= MAX_LABEL else f"{label[: MAX_LABEL - 1]}…"


def _note(spec: Mapping[str, Any]) -> str:
    """The number of texts and the source of their influential words."""
    texts, source = spec["texts"], spec.get("words", {}).get("source", "")
    own = isinstance(texts, list)
    count = len(texts) if own else len(texts.get("indices", ())) or int(texts.get("count", 0))
    return f"{formats.plural(count, 'text')} · words {WORD_SOURCES.get(source, source)}"
