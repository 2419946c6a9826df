"""Uses a transformers model that the caller has already loaded, instead of loading one by its reference."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from prunescope.lm.causality import check_causal
from prunescope.lm.errors import BadInput, ModelNotFound, UnsupportedModel
from prunescope.lm.hub import files_beside_weights
from prunescope.lm.loading import STORED, LanguageModel
from prunescope.lm.tokenizer import check, read_tokenizer


@contextmanager
def adopted(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, reference: str
) -> Iterator[LanguageModel]:
    """Wrap a loaded model as a `LanguageModel`; `reference` is its name in messages. The model is in eval mode inside
    the block; afterwards its mode and hooks are restored. Its device and dtype do not change.

    Raises UnsupportedModel unless it is a decoder-only language model with plain (not quantised) weights, all on one
    CPU or GPU.
    """
    config: Any = model.config
    if getattr(config, "is_encoder_decoder", False):
        raise UnsupportedModel(
            f"{reference} has an encoder beside its decoder ({config.model_type}); give a decoder-only language model"
        )
    if getattr(config, "quantization_config", None) is not None:
        raise UnsupportedModel(
            f"{reference} is quantised: its packed weights cannot be pruned; give the model before quantisation"
        )
    places = {parameter.device for parameter in model.parameters()}
    if len(places) != 1 or next(iter(places)).type not in ("cpu", "cuda"):
        raise UnsupportedModel(
            f"{reference}: its weights lie on {', '.join(sorted(map(str, places))) or 'no device'}; bring all of them "
            f"to one CPU or GPU"
        )
    if model.dtype not in STORED.values():
        raise UnsupportedModel(
            f"{reference}: its weights are of type {model.dtype}; give a model with floating-point weights"
        )
    training = model.training
    hook = None if tokenizer is None else check(tokenizer, reference, model)
    try:
        model.eval()
        check_causal(model, reference)
        yield LanguageModel(model, tokenizer, reference, model.dtype, places.pop())
    finally:
        model.train(training)
        if hook is not None:
            hook.remove()


def tokenizer_of(model: PreTrainedModel) -> PreTrainedTokenizerBase | None:
    """Return the tokenizer of the folder or hub id from which the model was loaded (`config.name_or_path`); None when
    there is none. Raises BadInput when the tokenizer cannot be loaded."""
    name = str(model.config.name_or_path or "")
    if not name:
        return None
    if Path(name).is_dir():
        return read_tokenizer(Path(name))
    try:
        return read_tokenizer(files_beside_weights(name, getattr(model.config, "_commit_hash", None)))
    except ModelNotFound as error:
        raise BadInput(f"no tokenizer where the model was loaded from, give it as tokenizer=: {error}") from error
