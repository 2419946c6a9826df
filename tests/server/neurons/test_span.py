"""A selected span of tokens: its sums on the page, and which addresses select one."""

import html
import re

import pytest
from starlette.testclient import TestClient

from prunescope.server.neurons.documents import NeuronDocument
from prunescope.server.neurons.page import neuron_view
from prunescope.server.neurons.reading import read_examples
from prunescope.server.neurons.span import span_sums
from tests.server.conftest import ATTRIBUTION
from tests.server.made_up import VARIANTS, MadeUp, own_parts

PAGE = f"/attributions/{ATTRIBUTION}/neurons/1/7"


@pytest.fixture
def neuron(client: TestClient, made_up: MadeUp) -> NeuronDocument:
    return NeuronDocument.model_validate(client.get(f"/api/v1{PAGE}").json())


@pytest.mark.parametrize("activation", ["relu", "raw", "abs"])
def test_sums_are_those_of_the_counted_tokens(neuron: NeuronDocument, made_up: MadeUp, activation: str) -> None:
    transform = {"relu": lambda x: max(0.0, x), "raw": float, "abs": abs}[activation]
    query = {"example": "0", "variant": "all", "span": "0-4", "activation": activation}
    (reading,) = read_examples(neuron, neuron_view(neuron, query), [0])
    sums = span_sums(reading)
    assert sums is not None
    counted = [1, 2, 3, 4]  # 0 is special
    assert (sums.first, sums.last, sums.counted) == (0, 4, 4)
    for name, found in zip(VARIANTS[1:], sums.sums, strict=True):
        dense, pruned = (
            sum(transform(float(made_up.activations[each][1, 7, place])) for place in counted)
            for each in ("dense", name)
        )
        assert (found.dense, found.pruned) == (pytest.approx(dense), pytest.approx(pruned))
        assert found.difference == pytest.approx(pruned - dense)
        own = float(own_parts(made_up.activations, name)[1, 7, counted].astype(float).sum())
        raw = sum(
            float(made_up.activations[name][1, 7, i]) - float(made_up.activations["dense"][1, 7, i]) for i in counted
        )
        assert found.own is not None and found.upstream is not None
        assert found.own == pytest.approx(own)
        assert found.own + found.upstream == pytest.approx(raw)
    assert [cell.selected for cell in reading.groups()[0][0].cells] == [place <= 4 for place in range(11)]


def test_the_page_says_the_sums_and_files_mark_the_tokens(client: TestClient, made_up: MadeUp) -> None:
    page = client.get(f"{PAGE}?example=0&span=2-4").text
    (line,) = re.findall(r'<p class="shown-token" id="span">(.*?)</p>', page, re.S)
    assert "Tokens 2 to 4, sum of 3" in line
    assert "“▁badly▁damaged”" in html.unescape(line)
    assert len(re.findall(r'class="t [^"]*\br"', page)) == 3 * (3 + 3)  # also in the panes of the causes
    assert client.get(f"{PAGE}?example=0").text.count('id="span"') == 0
    svg = client.get(f"/api/v1{PAGE}/heatmap.svg?example=0&span=2-4").text
    assert svg.count('data-selected="true"') == 9
    assert "tokens 2 to 4 selected" in svg


@pytest.mark.parametrize("span", ["4-2", "0-11", "3", "a-b", "-1-2", "1-2-3", "²-3", ""])
def test_what_is_no_span_is_refused_with_the_limits(client: TestClient, made_up: MadeUp, span: str) -> None:
    answer = client.get(f"/api/v1{PAGE}/heatmap.svg", params={"example": 0, "span": span})
    assert answer.status_code == 422
    assert "from 0 to 10" in answer.text
    page = client.get(PAGE, params={"example": 0, "span": span})
    assert page.status_code == 200
    assert "The default is shown instead" in page.text
