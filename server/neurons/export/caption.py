"""The caption of an exported figure: how its numbers were made, how to make it again, and what to cite."""

from dataclasses import dataclass

from pydantic import ValidationError

from prunescope.jobs.specs import AttributeSpec
from prunescope.server.jobs.commands import commands_of
from prunescope.server.neurons.documents import NeuronDocument

CITATION = (
    "Yizhuo Ding, Xinwei Sun, Yanwei Fu, Guosheng Hu: Revisiting Large Language Model Pruning using Neuron Semantic "
    "Attribution. arXiv:2503.01542, 2025."
)
MAX_CODE = 1500
"""Maximum number of characters of the call; longer ones, with own texts, are left out."""


@dataclass(frozen=True)
class Caption:
    """``code`` is the call of the Python API that makes the figure again, empty if the spec does not allow it."""

    provenance: str
    code: str
    citation: str = CITATION

    @property
    def lines(self) -> list[str]:
        """All parts as plain text."""
        again = [f"Made again by: {self.code}"] if self.code else []
        return [self.provenance, *again, f"Method: {self.citation}"]


def caption_of(neuron: NeuronDocument, form: str, options: dict[str, str | int]) -> Caption:
    """The caption of a file. ``options`` are the arguments of the Python API's ``export`` that differ from its
    defaults."""
    call = _attribute_call(neuron)
    arguments = ", ".join([f'"{form}"', *(f"{name}={_literal(value)}" for name, value in options.items())])
    code = f"{call}.neuron({neuron.layer}, {neuron.neuron}).export({arguments})" if call else ""
    return Caption(neuron.provenance, code if len(code) <= MAX_CODE else "")


def _attribute_call(neuron: NeuronDocument) -> str:
    """The call of ``prunescope.attribute`` in one line; empty if an earlier version wrote the spec."""
    try:
        spec = AttributeSpec.model_validate(neuron.spec)
    except ValidationError:
        return ""
    forms = commands_of(spec, {"kind": "attribute", "spec": neuron.spec}, "")
    text = next(each.text for each in forms if each.form == "local")
    _, _, call = text.partition("prunescope.attribute(")
    rows = [line.strip() for line in call.splitlines() if not line.strip().startswith("output=")]
    return f"prunescope.attribute({' '.join(rows[: rows.index(')')]).strip().removesuffix(',')})"


def _literal(value: str | int) -> str:
    return str(value) if isinstance(value, int) else f'"{value}"'
