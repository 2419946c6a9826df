"""A field of the job form, and the choices of its menus."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

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
numbers = partial(Field, shape="numbers")
area = partial(Field, control="area")
model = partial(
    Field,
    control="models",
    hint="demo, a hub id (with @revision), pruned:<id>, or a folder below a model root",
    needed=True,
)
"""A text field for a model's reference that suggests the known models."""
models = partial(Field, control="models", shape="list")
"""A text field for several references, separated by commas; models are suggested for the last one."""

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
