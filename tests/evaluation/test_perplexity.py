"""Perplexity against the definition, one window and one token at a time."""

import math
from statistics import NormalDist

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prunescope.evaluation import perplexity as module
from prunescope.evaluation.perplexity import perplexity
from prunescope.lm.errors import Cancelled, NotFinite, OutOfMemory
from tests.models import DECODERS, tiny


def some_windows(samples: int = 5, tokens: int = 13) -> torch.Tensor:
    return torch.randint(300, (samples, tokens), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("family", DECODERS)
def test_it_is_the_mean_of_the_models_own_loss(family: str) -> None:
    """transformers' loss, one window at a time: the mean over every token but a window's first."""
    model, windows = tiny(family), some_windows()
    losses = [model(input_ids=window[None], labels=window[None]).loss.item() for window in windows]
    found = perplexity(model, windows, batch=2)
    assert found.nll == pytest.approx(sum(losses) / 5, rel=1e-4)
    assert found.perplexity == math.exp(found.nll)
    assert (found.tokens, found.windows, found.seqlen) == (5 * 12, 5, 13)


def test_every_token_is_predicted_from_those_before_it_alone() -> None:
    model, windows = tiny("llama"), some_windows(3, 7)
    losses = []
    for window in windows:
        for position in range(1, 7):
            logits = model(input_ids=window[None, :position]).logits[0, -1]
            losses.append(-logits.log_softmax(dim=-1)[window[position]].item())
    assert perplexity(model, windows).perplexity == pytest.approx(math.exp(sum(losses) / 18), rel=1e-4)


def test_it_is_the_published_sum() -> None:
    """SparseGPT and Wanda: each window's mean times seqlen, over all tokens of all windows."""
    model, windows = tiny("opt"), some_windows()
    total = 0.0
    for window in windows:
        logits = model(input_ids=window[None]).logits[:, :-1]
        total += torch.nn.functional.cross_entropy(logits[0], window[1:]).item() * 13
    assert perplexity(model, windows).perplexity == pytest.approx(math.exp(total / (5 * 13)), rel=1e-4)


@pytest.mark.parametrize("family", ["llama", "mistral", "opt", "gpt_neo"])
def test_the_batch_size_changes_nothing(family: str) -> None:
    model, windows = tiny(family), some_windows(7, 20)
    alone = perplexity(model, windows, batch=1)
    for batch in (2, 3, 7, None):
        together = perplexity(model, windows, batch=batch)
        assert together.nll == pytest.approx(alone.nll, rel=1e-5)
        assert together.interval == pytest.approx(alone.interval, rel=1e-4)


@given(st.lists(st.floats(0.1, 20), min_size=2, max_size=40))
def test_the_interval_is_students_over_the_windows_means(nlls: list[float]) -> None:
    from scipy.stats import bootstrap  # noqa: F401  (scipy is there)
    from scipy.stats import t as student

    found = module._interval(nlls)
    assert found is None or found[0] >= 1
    mean = sum(nlls) / len(nlls)
    error = math.sqrt(sum((nll - mean) ** 2 for nll in nlls) / (len(nlls) - 1) / len(nlls))
    low, high = student.interval(0.95, len(nlls) - 1, loc=mean, scale=max(error, 1e-300))
    if high > 700:
        assert found is None
    else:
        assert found == pytest.approx((math.exp(max(low, 0)), math.exp(high)), rel=1e-6)


def test_the_interval_holds_the_truth_nineteen_times_of_twenty() -> None:
    """Windows drawn from a known distribution; 2,000 draws put the share within a percent or so of 95."""
    generator = torch.Generator().manual_seed(0)
    draws = (3 + 0.5 * torch.randn(2000, 8, generator=generator)).tolist()
    intervals = [module._interval(nlls) for nlls in draws]
    held = sum(low <= math.exp(3) <= high for low, high in filter(None, intervals)) / 2000
    assert abs(held - 0.95) < NormalDist().inv_cdf(0.999) * math.sqrt(0.95 * 0.05 / 2000)


def test_a_single_window_has_no_interval() -> None:
    assert perplexity(tiny("llama"), some_windows(1)).interval is None


def test_progress_counts_windows_and_may_stop_it_at_the_next_batch() -> None:
    seen: list[tuple[int, int]] = []
    perplexity(tiny("llama"), some_windows(), batch=2, on_batch=lambda *now: seen.append(now))
    assert seen == [(0, 5), (2, 5), (4, 5), (5, 5)]

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done:
            raise Cancelled

    seen.clear()
    with pytest.raises(Cancelled):
        perplexity(tiny("llama"), some_windows(), batch=2, on_batch=stop)
    assert seen == [(0, 5), (2, 5)]


def refusing(model: torch.nn.Module, room: int) -> list[int]:
    """Lets the model run out of memory, as a GPU would, with more than `room` windows; the batches that ran."""
    ran: list[int] = []

    def full(module: torch.nn.Module, arguments: tuple[object, ...], named: dict[str, torch.Tensor]) -> None:
        if len(named["input_ids"]) > room:
            raise torch.OutOfMemoryError("no room")
        ran.append(len(named["input_ids"]))

    model.register_forward_pre_hook(full, with_kwargs=True)
    return ran


def test_a_batch_that_is_too_much_is_halved_and_nothing_read_twice() -> None:
    wanted = perplexity(tiny("llama"), some_windows(9), batch=1)
    model = tiny("llama")
    ran = refusing(model, 2)
    found = perplexity(model, some_windows(9), batch=8)
    assert ran == [2, 2, 2, 2, 1]
    assert found.nll == pytest.approx(wanted.nll, rel=1e-5)
    hopeless = tiny("llama")
    refusing(hopeless, 0)
    with pytest.raises(OutOfMemory, match="one row of 13 tokens"):
        perplexity(hopeless, some_windows(), batch=2)


@pytest.mark.parametrize("value", [torch.nan, -torch.inf])
def test_a_model_that_gives_no_numbers_is_an_error(value: float) -> None:
    model = tiny("llama")
    model.get_input_embeddings().weight[int(some_windows()[3, 2])] = value
    with pytest.raises(NotFinite, match=r"window 4 of 5: LlamaForCausalLM gives no finite number for its 13") as caught:
        perplexity(model, some_windows())
    assert "from its embedding on" in str(caught.value) and "float32" not in str(caught.value), "it is in use"
    with pytest.raises(NotFinite, match=r"window 4 of 5: tiny gives .* compute in float32 \(--dtype float32\)"):
        perplexity(model.to(torch.bfloat16), some_windows(), name="tiny")


def test_a_perplexity_beyond_all_numbers_is_an_error() -> None:
    model = tiny("llama")
    model.lm_head.weight.mul_(1e6)
    with pytest.raises(NotFinite, match="nats a token, too large for a finite perplexity; its weights are not"):
        perplexity(model, some_windows())
