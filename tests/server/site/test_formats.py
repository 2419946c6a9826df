"""Definitions on pages: every label that a template explains is in the glossary, and its text is never markup."""

import re

import pytest
from markupsafe import Markup, escape

from prunescope.frontend import GLOSSARY, TEMPLATES
from prunescope.server.site.formats import definitions, term


def test_every_row_of_the_glossary_is_a_definition() -> None:
    rows = [
        line for line in GLOSSARY.read_text().splitlines() if line.startswith("| ") and not line.startswith("| ---")
    ]
    assert len(definitions()) == len([row for row in rows if row != "| word | meaning |"]) > 50
    assert definitions()["neuron"].startswith("coordinate 2194 of the input of the MLP's down-projection")
    assert "](" not in "".join(definitions().values()) and "`" not in "".join(definitions().values())


def test_templates_explain_only_what_the_glossary_has() -> None:
    used = re.compile(r'"([^"]+)" \| term(?:\("([^"]+)"\))?')
    pairs = [pair for path in TEMPLATES.rglob("*.html") for pair in used.findall(path.read_text())]
    assert len(pairs) > 15
    assert [pair for pair in pairs if (pair[1] or pair[0]) not in definitions()] == []


def test_a_term_is_a_button_with_its_definition() -> None:
    button = str(term("<b>change</b>", "drop"))
    assert ">&lt;b&gt;change&lt;/b&gt;</button>" in button
    assert f'title="{escape(definitions()["drop"])}"' in button


def test_a_label_without_a_definition_stays_text() -> None:
    label = term("<b>took</b>")
    assert label == "<b>took</b>" and not isinstance(label, Markup)


def test_a_word_that_the_glossary_lacks_is_a_defect() -> None:
    with pytest.raises(KeyError):
        term("change", "no such word")
