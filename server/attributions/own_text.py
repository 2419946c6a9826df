"""The form beside an attribution and its neurons that runs a typed text through the same models, and the list of the
texts that were run before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query

from prunescope.jobs.bounds import MAX_TEXT_CHARACTERS
from prunescope.jobs.neurons import parse_neuron
from prunescope.jobs.vocabulary import NO_PROMPT, PROMPTS, TASKS
from prunescope.server import urls
from prunescope.server.attributions.documents import OtherText, OwnTextForm
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.labels import WORD_SOURCES, Described, attribution_facts, told_apart
from prunescope.server.site import formats
from prunescope.server.site.documents import Choice
from prunescope.server.stores import Stores
from prunescope.store.artefacts.records import Record

SENTIMENT = "sentiment"
"""The group of tasks whose prompts a typed text takes without a label."""
MAX_OTHERS = 50
MAX_LABEL = 80


@dataclass(frozen=True)
class TextPanel:
    """The form for a typed text, with what was typed before (``given``: text, label, source) and what is wrong with it;
    and the other texts."""

    form: OwnTextForm
    action: str  # the attribution's own texts are there too
    longest: int
    others: Sequence[OtherText]
    given: Mapping[str, str]
    wrong: str


@dataclass(frozen=True)
class Target:
    """The attribution whose models a text goes through, and what to show of the result: one of its neurons, a variant.

    Routes take it as a dependency.
    """

    attribution: str
    neuron: Annotated[str | None, Query(description="L15/N2194: then_href leads to this neuron")] = None
    variant: Annotated[str | None, Query(description="a pruned variant: then_href shows it")] = None

    def check(self) -> None:
        """Problem 422 for a neuron's name that cannot be read."""
        if self.neuron is not None:
            parse_neuron(self.neuron)

    @property
    def state(self) -> dict[str, urls.State]:
        """The query of addresses that keep neuron and variant."""
        return {"neuron": self.neuron, "variant": self.variant}

    def result_href(self, attribution: str) -> str:
        """The page of the resulting attribution, or of the neuron in it. Problem 422 as `check`."""
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
    """The form for a text of the models of ``target``; the others lead to what it names of their results."""
    return TextPanel(
        form=form,
        action=urls.attribution_texts(target.attribution, **target.state),
        longest=MAX_TEXT_CHARACTERS,
        others=[each.model_copy(update={"href": target.result_href(each.id)}) for each in others],
        given=given or {},
        wrong=wrong,
    )


def own_text_form(opened: OpenAttribution) -> OwnTextForm:
    """The choices of the form, and the settings that a typed text takes over from the attribution."""
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
    """The prompt around a typed text, and why it is not the attribution's."""
    prompt = str(spec.get("prompt") or NO_PROMPT)
    if prompt in (NO_PROMPT, *PROMPTS):
        return prompt, None
    return NO_PROMPT, f"no prompt goes around it: that of {prompt} is made from several fields of its rows"


def own_source(spec: Mapping[str, Any]) -> str:
    """The default source of a typed text's influential words: the attribution's own. Where that one's were chosen by
    hand: occlusion if the model can answer with a label, else those that the model names."""
    source = str(spec["words"]["source"])
    if source != "manual":
        return source
    return "occlusion" if answers_with_a_label(own_prompt(spec)[0]) else "cot"


def answers_with_a_label(prompt: str) -> bool:
    """Whether the model itself can label a text that has no label: a sentiment prompt names the choices."""
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
    return [_other(record, label) for record, label in zip(records, labels, strict=True)]


def _beginning(texts: Any) -> str:
    """How the first text that was typed begins, or the name of the task."""
    label = " ".join(str(texts[0]["text"]).split()) if isinstance(texts, list) else str(texts["dataset"])
    return label if len(label) <= MAX_LABEL else f"{label[: MAX_LABEL - 1]}…"


def _other(record: Record, label: str) -> OtherText:
    texts: Any = record.spec["texts"]
    own = isinstance(texts, list)
    count = len(texts) if own else len(texts.get("indices", ())) or int(texts.get("count", 0))
    source = record.spec.get("words", {}).get("source", "")
    return OtherText(
        id=record.id,
        label=label,
        note=f"{formats.plural(count, 'text')} · words {WORD_SOURCES.get(source, source)}",
        own=own,
        created_at=record.created_at,
        href=urls.attribution(record.id),
    )
