"""Every number of an explanation against a slow, obvious computation, on gated and not gated MLPs, with gate and up
fused, with biases, and with parallel attention."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from prunescope.lm.answers import Encoded
from prunescope.lm.hooks import change_inputs
from prunescope.nsa.explain import gradients
from prunescope.nsa.explain.accounting import integrated
from prunescope.nsa.explain.rows import margins
from prunescope.nsa.explain.shares import effects
from prunescope.nsa.explain.sites import HEADS, NEURONS, output_norms
from tests.models import LAYERS
from tests.models import NEURONS as WIDTH
from tests.nsa.explain.made import Pair, pair, random_rows, silent

FAMILIES = ("llama", "opt", "phi3", "gpt2", "gpt_neox", "falcon", "falcon_alibi")


def text_scores(made: Pair, number: int, patch: dict[tuple[str, int], tuple[int, Tensor]] | None = None) -> list[float]:
    """The scores of one row in the pruned model, each choice alone in its own forward pass; `patch`: place -> (column,
    added value), at every counted position of every choice."""
    model, row = made.pruned.model, made.layout.rows[number]
    found = []
    for choice in row.choices:
        ids = torch.tensor([choice.inputs])

        def change(place: tuple[str, int], values: Tensor, inputs: tuple[int, ...] = choice.inputs) -> Tensor:
            column, added = (patch or {})[place]
            shown = values.reshape(1, len(inputs), -1).clone()
            for position, token in enumerate(inputs):
                if position > 0 and token != 0:
                    shown[0, position, column] += added
            return shown.reshape(values.shape)

        modules = {place: made.pruned.sites.modules[place] for place in patch or {}}
        with torch.no_grad(), change_inputs(modules, change):
            logits = model(input_ids=ids, use_cache=False).logits[0].double().log_softmax(-1)
        first = len(choice.inputs) - len(choice.answer)
        found.append(sum(float(logits[first + step, token]) for step, token in enumerate(choice.answer)))
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_each_choice_alone(family: str) -> None:
    made = pair(family, random_rows(5))
    for number in range(5):
        assert made.pruned_scores[number] == pytest.approx(text_scores(made, number), abs=2e-4)


def patched_score(made: Pair, choice: Encoded, kind: str) -> float:
    """The score of one choice alone in the pruned model, with the dense model's activations of one kind at its counted
    tokens, by hooks written by hand."""
    ids = torch.tensor([choice.inputs])
    places = [place for place in made.pruned.sites.modules if place[0] == kind]
    counted = torch.tensor([position > 0 and token != 0 for position, token in enumerate(choice.inputs)])
    kept: dict[tuple[str, int], Tensor] = {}
    handles = []

    def take(place: tuple[str, int]) -> Any:
        return lambda _module, args: kept.update({place: args[0].reshape(1, ids.shape[1], -1).clone()})

    def put(place: tuple[str, int]) -> Any:
        def hook(_module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            own = args[0].reshape(1, ids.shape[1], -1)
            return (torch.where(counted[None, :, None], kept[place], own).reshape(args[0].shape), *args[1:])

        return hook

    for subject, make in ((made.dense, take), (made.pruned, put)):
        handles += [subject.sites.modules[place].register_forward_pre_hook(make(place)) for place in places]
    try:
        with torch.no_grad():
            made.dense.model(input_ids=ids, use_cache=False)
            logits = made.pruned.model(input_ids=ids, use_cache=False).logits[0].log_softmax(-1)
    finally:
        for handle in handles:
            handle.remove()
    first = len(choice.inputs) - len(choice.answer)
    return sum(float(logits[first + step, token]) for step, token in enumerate(choice.answer))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", [NEURONS, HEADS])
def test_patching_equals_hooks_written_by_hand(family: str, kind: str) -> None:
    made = pair(family, random_rows(4))
    places = {place: None for place in made.pruned.sites.modules if place[0] == kind}
    fast = made.pruned.patched(made.dense_recorded, places, range(4))
    for number, row in enumerate(made.layout.rows):
        alone = [patched_score(made, choice, kind) for choice in row.choices]
        assert fast[number] == pytest.approx(alone, abs=2e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_effects_are_the_slope_of_the_margin(family: str) -> None:
    """Adding h times the dense minus the pruned activation of one neuron at one position changes the margin by h times
    the neuron's effect there; here for constant changes, so that a column's gradient sum is the slope."""
    rows = random_rows(3, seed=3)
    made = pair(family, rows)
    weights = np.ones((1, 3))
    constant = _Shifted(made)
    found = effects(made.pruned, constant, made.pruned_recorded, weights, silent)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    step = 1e-2
    for kind, width in made.pruned.sites.widths.items():
        for layer in range(LAYERS):
            column = int(rng.integers(width))
            slope = 0.0
            for number, row in enumerate(rows):
                ends = [
                    margins([row], [text_scores(made, number, {(kind, layer): (column, torch.tensor(sign * step))})])[0]
                    for sign in (1, -1)
                ]
                slope += (ends[0] - ends[1]) / (2 * step)
            assert found.by_kind[kind][0, layer, column] == pytest.approx(slope, rel=2e-2, abs=2e-3)


class _Shifted:
    """The pruned model's activations plus one, so that dense minus pruned is one everywhere."""

    def __init__(self, made: Pair) -> None:
        self._recorded = made.pruned_recorded

    def read(self, *where: object) -> Tensor:
        return self._recorded.read(*where) + 1  # type: ignore[arg-type]


@pytest.mark.parametrize("family", FAMILIES)
def test_effects_of_a_layer_by_layer_graph_are_the_same(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pair(family, random_rows(4, labels=True, choices=2))
    weights = np.array([[1.0, 1, 0, 1], [0.5, 0, 0, 2]])
    whole = effects(made.pruned, made.dense_recorded, made.pruned_recorded, weights, silent)
    tokens = max(sum(len(each.passage.tokens) for each in placed) for placed in made.layout.placed)
    least = gradients.graph_bytes(made.pruned, recomputed=False) * (tokens - 1)
    monkeypatch.setitem(gradients.MAX_GRAPH_BYTES, "cpu", least)
    assert gradients.batch_tokens(made.pruned, range(4))[1]
    again = effects(made.pruned, made.dense_recorded, made.pruned_recorded, weights, silent)
    for kind in whole.by_kind:
        np.testing.assert_allclose(again.by_kind[kind], whole.by_kind[kind], atol=1e-5)
    np.testing.assert_allclose(again.change, whole.change, rtol=1e-5)


def test_change_and_activation_are_plain_sums() -> None:
    made = pair("llama", random_rows(3))
    weights = np.array([[1.0, 0, 2.0]])
    found = effects(made.pruned, made.dense_recorded, made.pruned_recorded, weights, silent)
    change, activation = np.zeros((LAYERS, WIDTH)), np.zeros((LAYERS, WIDTH))
    for layer in range(LAYERS):
        for number in (0, 2):
            for each in made.layout.placed[number]:
                at = each.start + each.counted
                dense = made.dense_recorded.read(NEURONS, layer, at).numpy()
                pruned = made.pruned_recorded.read(NEURONS, layer, at).numpy()
                change[layer] += weights[0, number] * np.abs(dense - pruned).sum(0)
                activation[layer] += weights[0, number] * np.abs(dense).sum(0)
    norms = output_norms(made.pruned.sites)
    np.testing.assert_allclose(found.change[0], change * norms, rtol=1e-4)
    np.testing.assert_allclose(found.activation[0], activation * norms, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kinds", [[NEURONS], [HEADS], [NEURONS, HEADS]], ids=str)
def test_integrated_shares_add_up_to_what_patching_restores(family: str, kinds: list[str]) -> None:
    rows = random_rows(4, choices=2, seed=5)  # of two choices the best wrong one never changes along the path
    made = pair(family, rows)
    found = integrated(made.pruned, made.dense_recorded, made.pruned_recorded, kinds, range(4), 64, silent)
    places = {place: None for place in made.pruned.sites.modules if place[0] in kinds}
    patched = made.pruned.patched(made.dense_recorded, places, range(4))
    gained = margins(rows, [patched[number] for number in range(4)]).sum()
    gained -= margins(rows, [made.pruned_scores[number] for number in range(4)]).sum()
    assert sum(total.sum() for total in found.values()) == pytest.approx(gained, rel=2e-2, abs=2e-2)


def test_everything_patched_gives_the_dense_model_back_but_for_its_head_and_embedding() -> None:
    """Neurons, heads, and position 0: nothing of the decoder layers is pruned any more."""
    rows = random_rows(4)
    made = pair("llama", rows, sinks=True)
    places = dict.fromkeys(made.pruned.sites.modules)
    # What a patched layer writes is still written with the pruned output weights.
    for place, module in made.pruned.sites.modules.items():
        module.weight.data = made.dense.sites.modules[place].weight.data.clone()  # type: ignore[union-attr]
    patched = made.pruned.patched(made.dense_recorded, places, range(4))
    for number in range(4):
        assert patched[number] == pytest.approx(made.dense_scores[number], abs=1e-4)
