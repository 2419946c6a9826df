"""Why a neuron changed: the documents, the page and the parts of every token."""

import numpy as np
import pytest
from starlette.testclient import TestClient

from prunescope.server.neurons.documents import NeuronDocument
from prunescope.server.neurons.page import default_view
from prunescope.server.neurons.reading import read_examples
from prunescope.server.neurons.why import why_card
from prunescope.store.attributions.documents import HeadWriter
from tests.server.conftest import ATTRIBUTION
from tests.server.made_up import TOKENS, MadeUp, own_parts

BASE = f"/api/v1/attributions/{ATTRIBUTION}"
LENGTHS = [len(tokens) for tokens in TOKENS]


@pytest.fixture
def document(client: TestClient, made_up: MadeUp) -> NeuronDocument:
    return NeuronDocument.model_validate(client.get(f"{BASE}/neurons/1/7").json())


def test_the_document_holds_parts_and_divergences(document: NeuronDocument, made_up: MadeUp) -> None:
    dense, *pruned = document.variants
    assert dense.own is None and dense.divergence is None
    for variant in pruned:
        assert variant.own is not None and variant.divergence is not None
        assert [len(part) for part in variant.own] == LENGTHS
        own = own_parts(made_up.activations, variant.name)[1, 7]
        assert [value for part in variant.own for value in part] == own.tolist()
        assert [value for part in variant.divergence for value in part] == made_up.arrays[f"kl/{variant.name}"].tolist()
        drop = document.drops[variant.name]
        parts = document.drop_parts[variant.name]
        assert (
            drop is not None
            and parts.own == pytest.approx(0.25 * drop)
            and parts.upstream == pytest.approx(0.75 * drop)
        )


def test_the_card_splits_the_drop_and_every_word(document: NeuronDocument) -> None:
    card = why_card(document, document.variants[1])
    assert card is not None and card.drop == pytest.approx(document.drops["pruned-1"])
    assert sorted(word.word for word in card.words) == ["badly", "bland", "damaged"]
    for word in card.words:
        assert word.own == pytest.approx(0.25 * word.change)
        assert word.upstream == pytest.approx(0.75 * word.change)
    assert [abs(word.change) for word in card.words] == sorted((abs(word.change) for word in card.words), reverse=True)


def test_changed_weights_and_what_writes_there(client: TestClient, document: NeuronDocument) -> None:
    first, second = document.changed_weights["pruned-2"]
    assert (first.matrix, first.dimension, first.contribution) == ("up", 3, -0.5)
    assert (second.matrix, second.dimension, second.contribution) == ("gate", 3, 0.25)
    assert [(writer.name, writer.size) for writer in first.writers] == [
        ("L0/N5", 0.75),
        ("L1/H2", -0.625),
        ("L0/N7", -0.5),
    ]
    assert first.writers[1] == HeadWriter(layer=1, head=2, name="L1/H2", size=-0.625)
    assert document.head_writers
    page = client.get(f"/attributions/{ATTRIBUTION}/neurons/1/7").text
    assert "Changed weights" in page and f"/attributions/{ATTRIBUTION}/neurons/0/5" in page
    assert '<span class="mono">L1/H2</span>' in page and "attention heads (H)" in page
    assert "nothing recorded below" in client.get(f"/attributions/{ATTRIBUTION}/neurons/0/7").text


def test_panes_of_the_causes(document: NeuronDocument) -> None:
    (reading,) = read_examples(document, default_view(document), [0])
    own, upstream, divergence = reading.causes()
    assert [pane.key for pane in (own, upstream, divergence)] == ["own", "upstream", "divergence"]
    assert reading.cause_scales["own"] == reading.cause_scales["upstream"]
    for mine, other, cell in zip(own.cells, upstream.cells, reading.groups()[0][2].cells, strict=True):
        assert mine.value + other.value == pytest.approx(cell.token.pruned_raw - cell.token.dense_raw)
        assert mine.fraction <= 1 and other.fraction <= 1
        assert mine.hue == ("h" if mine.token.aside else "lg"[mine.value >= 0])
    assert {cell.hue for cell in divergence.cells} == {"h"}


def test_the_page_has_the_panes_and_each_tokens_numbers(client: TestClient, made_up: MadeUp) -> None:
    page = client.get(f"/attributions/{ATTRIBUTION}/neurons/1/7").text
    assert "Why it changed" in page and "comes mostly from the layers before" not in page
    for key in ("own", "upstream", "divergence"):
        assert f'data-pane="{key}"' in page
    assert 'title="own weights ' in page and "next token: KL " in page


def test_without_parts_the_page_says_so(document: NeuronDocument) -> None:
    bare = [variant.model_copy(update={"own": None, "divergence": None}) for variant in document.variants]
    old = document.model_copy(update={"variants": bare})
    assert why_card(old, bare[1]) is None
    assert read_examples(old, default_view(old), [0])[0].causes() == []


def test_the_layer_says_what_its_own_weights_explain(client: TestClient, made_up: MadeUp) -> None:
    layer = client.get(f"{BASE}/layers/1").json()
    assert layer["own"] == pytest.approx({"pruned-1": 0.6, "pruned-2": 0.6})
    page = client.get(f"/attributions/{ATTRIBUTION}/layers/1").text
    assert "explain <strong>60\N{NO-BREAK SPACE}%</strong> of its change" in page


def test_the_attribution_splits_its_top_neurons_and_layers(client: TestClient, made_up: MadeUp) -> None:
    document = client.get(BASE).json()
    assert document["split"]["top"] == {"neurons": 10, "drop": 0.6, "own": 0.2, "upstream": 0.4}
    assert [row["own"] for row in document["layer_list"]] == pytest.approx([0.9, 0.6, 0.3])
    mean = float(np.mean(made_up.arrays["kl/pruned-2"][: LENGTHS[0]], dtype=np.float64))
    assert document["example_list"][0]["divergence"]["pruned-2"] == pytest.approx(mean, rel=1e-5)
    row = client.get(f"{BASE}/neurons?limit=1").json()["items"][0]
    assert row["own"] + row["upstream"] == pytest.approx(row["drop"])
    page = client.get(f"/attributions/{ATTRIBUTION}").text
    assert "Why the top neurons changed" in page and "nats a token" in page
