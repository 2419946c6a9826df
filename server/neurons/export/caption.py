"""The caption of an exported figure: how its numbers were made, how to make it again, and what to cite."""

from dataclasses import dataclass

from pydantic import ValidationError

from prunescope.jobs.specs import AttributeSpec
from prunescope.server.jobs.commands import FILE, commands_of
from prunescope.server.neurons.documents import NeuronDocument

CITATION = (
    "Yizhuo Ding, Xinwei Sun, Yanwei Fu, Guosheng Hu: Revisiting Large Language Model Pruning using Neuron Semantic "
    "Attribution. arXiv:2503.01542, 2025."
)
MAX_CODE = 1500
"""Maximum number of characters of the call, and of the command; longer ones, with own texts, are left out."""


@dataclass(frozen=True)
class Caption:
    """``code`` is the call of the Python API that makes the figure again, ``command`` what a shell needs to make the
    attribution again, in several lines; both are empty if the spec does not allow it."""

    provenance: str
    code: str
    command: str = ""
    citation: str = CITATION

    @property
    def lines(self) -> list[str]:
        """The visible parts as plain text."""
        again = [f"Made again by: {self.code}"] if self.code else []
        return [self.provenance, *again, f"Method: {self.citation}"]

    @property
    def comments(self) -> list[str]:
        """The lines of a comment in a file: `lines`, then the command."""
        command = ["The attribution is made again by:", *self.command.splitlines()] if self.command else []
        return [*self.lines, *command]


def caption_of(neuron: NeuronDocument, form: str, options: dict[str, str | int]) -> Caption:
    """The caption of a file. ``options`` are the arguments of the Python API's ``export`` that differ from its
    defaults."""
    call, command = _again(neuron)
    arguments = ", ".join([f'"{form}"', *(f"{name}={_literal(value)}" for name, value in options.items())])
    code = f"{call}.neuron({neuron.layer}, {neuron.neuron}).export({arguments})" if call else ""
    code, command = (each if len(each) <= MAX_CODE else "" for each in (code, command))
    return Caption(neuron.provenance, code, command)


def _again(neuron: NeuronDocument) -> tuple[str, str]:
    """(call of ``prunescope.attribute`` in one line, input of a shell that makes the attribution); both empty if an
    earlier version wrote the spec."""
    try:
        spec = AttributeSpec.model_validate(neuron.spec)
    except ValidationError:
        return "", ""
    forms = {each.form: each.text for each in commands_of(spec, {"kind": "attribute", "spec": neuron.spec}, "")}
    _, _, call = forms["local"].partition("prunescope.attribute(")
    rows = [line.strip() for line in call.splitlines() if not line.strip().startswith("output=")]
    command = forms["command"]
    if not isinstance(spec.texts, tuple):  # only a server has the texts of a dataset; the address of ours is left out
        command = f"cat > {FILE} <<'END'\n{forms['yaml']}\nEND\nprunescope submit {FILE} --wait"
    return f"prunescope.attribute({' '.join(rows[: rows.index(')')]).strip().removesuffix(',')})", command


def _literal(value: str | int) -> str:
    return str(value) if isinstance(value, int) else f'"{value}"'
