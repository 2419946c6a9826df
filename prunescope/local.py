"""`prune`, `evaluate` and `attribute` in this process: arguments become the spec that a job has, and its stage runs."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from prunescope import running
from prunescope.attributions import Attribution
from prunescope.errors import Refusal, one_kind
from prunescope.inputs import calibration_source
from prunescope.jobs.documents import JobKind, Progress
from prunescope.jobs.paths import expanded
from prunescope.jobs.specs import AttributeSpec, EvaluateSpec, PruneSpec, parse_spec
from prunescope.lm.errors import BadInput
from prunescope.outputs import checked_folder
from prunescope.results import Evaluation, PrunedModel, evaluation, pruned_model
from prunescope.settings import read_settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from prunescope.lm.loading import LanguageModel

PathLike: TypeAlias = str | os.PathLike[str]
Model: TypeAlias = "PathLike | PreTrainedModel | PrunedModel"
"""`demo`, a folder, a hub id with an optional `@revision`, a loaded model, or what `prune` answered with."""
OnProgress: TypeAlias = Callable[[Progress], None]

OUTPUT = "output"
"""What errors call the argument."""
FORMS = "demo, a folder, a hub id, a transformers model, or what prune answered with"


def _silent(progress: Progress) -> None:
    pass


def prune(
    model: Model,
    method: str | Mapping[str, Any] = "wanda",
    *,
    sparsity: float | None = None,
    pattern: str | None = None,
    calibration: PathLike | Mapping[str, Any] | None = None,
    allocation: str | Mapping[str, Any] = "uniform",
    output: PathLike | None = None,
    tokenizer: "PreTrainedTokenizerBase | None" = None,
    data: PathLike | None = None,
    device: str | None = None,
    dtype: str | None = None,
    on_progress: OnProgress = _silent,
) -> PrunedModel:
    """Prune the linears of a model's decoder layers: to a `sparsity` in [0, 1), or to a `pattern` such as "2:4" (of
    every 4 weights in a row 2 are kept).

    A model that is named is written to the folder `output`, one layer in memory at a time; after an interrupt the same
    call goes on from the last finished layer. A loaded model is pruned in place, on its device, and is saved where
    there is an `output`: give `copy.deepcopy(model)` to keep the dense one.

    `method` and `allocation` are names, or `{"name": ..., option: ...}`; `calibration` is a data set, a file (.txt,
    .jsonl, .safetensors) or `{"dataset" | "file": ..., "samples", "seqlen", "seed", "mode", "bos"}`. A loaded model's
    tokenizer is that of `model.config.name_or_path` unless it is given. `data`, `device` and `dtype` are as for the
    command. Raises PrunescopeError.
    """
    with one_kind(BadInput):
        settings = read_settings("", data=data, device=device, dtype=dtype)
        if (sparsity is None) == (pattern is None):
            raise Refusal("say how much is to go: either sparsity=0.5 or pattern='2:4'")
        target = _target(output)
        document: dict[str, Any] = {
            "method": method,
            "pattern": sparsity if pattern is None else pattern,
            "allocation": allocation,
            "calibration": calibration_source(os.fspath(calibration))
            if isinstance(calibration, str | os.PathLike)
            else calibration,
        }
        with _named([model], tokenizer) as (names, loaded):
            spec = parse_spec(JobKind.PRUNE, {"model": names[0], **document})
            assert isinstance(spec, PruneSpec)
            if lm := loaded.get(names[0]):
                record = running.prune_loaded(spec, lm, target, settings, on_progress, OUTPUT)
                return pruned_model(record, target, lm.model, lm.tokenizer)
            if target is None:
                raise Refusal(f"{names[0]!r} is not loaded: name the folder to write the pruned model to, as output=")
            return pruned_model(running.prune(spec, target, settings, on_progress, OUTPUT), target)


def evaluate(
    model: Model,
    tasks: Sequence[str] = (),
    *,
    perplexity: Sequence[str] | Mapping[str, Any] = (),
    limit: int | None = None,
    seed: int = 0,
    newline: str = "real",
    tokenizer: "PreTrainedTokenizerBase | None" = None,
    data: PathLike | None = None,
    device: str | None = None,
    dtype: str | None = None,
    on_progress: OnProgress = _silent,
) -> Evaluation:
    """Accuracy of a model on tasks, zero-shot, with 95 % intervals, and its perplexity on texts.

    `limit` takes so many rows of each task (None: all). `perplexity` names texts (wikitext2, ptb, c4, demo, a .txt or
    .jsonl file), or is `{"datasets": [...], "seqlen", "windows", "bos"}`. A loaded model is measured where it is, in
    its number type; the other arguments are as for `prune`. Raises PrunescopeError.
    """
    with one_kind(BadInput):
        settings = read_settings("", data=data, device=device, dtype=dtype)
        texts = perplexity if isinstance(perplexity, Mapping) else {"datasets": _listed(perplexity)}
        with _named([model], tokenizer) as (names, loaded):
            document = {"model": names[0], "tasks": _listed(tasks), "limit": limit, "seed": seed, "newline": newline}
            spec = parse_spec(JobKind.EVALUATE, {**document, "perplexity": texts if texts.get("datasets") else None})
            assert isinstance(spec, EvaluateSpec)
            name = model.label if isinstance(model, PrunedModel) else names[0]
            return evaluation(running.evaluate(spec, settings, on_progress, loaded), name)


def attribute(
    dense: Model,
    pruned: Sequence[Model],
    texts: Sequence[str | Mapping[str, Any]] | Mapping[str, Any],
    *,
    words: str | Sequence[Sequence[str]] | None = None,
    prompt: str | None = None,
    activation: str = "relu",
    layers: Sequence[int] | None = None,
    permutations: int = 1000,
    floor: float = 0.05,
    special_tokens: bool = False,
    causal: str | Mapping[str, Any] | None = None,
    seed: int = 0,
    output: PathLike | None = None,
    tokenizer: "PreTrainedTokenizerBase | None" = None,
    data: PathLike | None = None,
    device: str | None = None,
    dtype: str | None = None,
    on_progress: OnProgress = _silent,
) -> Attribution:
    """Run the same texts through a dense model and its pruned ones, and find the neurons of their influential words.

    `texts` are strings, `{"text": ..., "label"?, "words"?}`, or rows of a task: `{"dataset": "sst2", "count": 10}`.
    `words` is where influential words come from (manual, cot, occlusion, gradient; None: manual where the texts carry
    words, else cot), or a list of words for each text. Loaded models share the `tokenizer`. What is written to
    `output`, a Zarr group, can be opened again with `open_attribution`; without it the group lasts as long as the
    Attribution. The other arguments are fields of an attribute spec (docs/attribution.md), or as for `prune`.
    Raises PrunescopeError.
    """
    with one_kind(BadInput):
        settings = read_settings("", data=data, device=device, dtype=dtype)
        target = _target(output)
        chosen, source = _with_words(texts, words)
        with _named([dense, *_listed(pruned)], tokenizer) as (names, loaded):
            document = {
                "dense": names[0],
                "pruned": names[1:],
                "texts": chosen,
                "prompt": prompt,
                "words": source,
                "activation": activation,
                "layers": None if layers is None else list(layers),
                "permutations": permutations,
                "floor": floor,
                "special_tokens": special_tokens,
                "causal": causal,
                "seed": seed,
            }
            spec = parse_spec(JobKind.ATTRIBUTE, document)
            assert isinstance(spec, AttributeSpec)
            if target is not None:
                running.attribute(spec, target, settings, on_progress, loaded, OUTPUT)
                return Attribution(target)
            folder = Path(tempfile.mkdtemp(prefix="prunescope-"))
            try:
                running.attribute(spec, folder / "attribution", settings, on_progress, loaded, OUTPUT)
                return Attribution(folder / "attribution", temporary=True)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise


def _target(output: PathLike | None) -> Path | None:
    """The folder to write, checked before work begins."""
    return None if output is None else checked_folder(expanded(os.fspath(output)), OUTPUT)


def _listed(values: Any) -> list[Any]:
    """A list of names or models; one alone is a list of it."""
    return [values] if isinstance(values, str) or not isinstance(values, Sequence) else list(values)


def _with_words(texts: Any, words: Any) -> tuple[Any, Any]:
    """Texts and the source of words as a spec has them: words that are given for each text go into the texts."""
    given = list(texts) if isinstance(texts, Sequence) and not isinstance(texts, str) else texts
    if words is None or isinstance(words, str | Mapping):
        return given, words
    chosen = [each if isinstance(each, str) else list(each) for each in words]
    if any(isinstance(each, str) for each in chosen):
        raise Refusal(f"words: {chosen!r:.80} is one list; give a list of words for each text, or a source such as cot")
    if isinstance(texts, Mapping):
        return {**texts, "words": chosen}, None
    if not isinstance(given, list) or len(chosen) != len(given):
        count = len(given) if isinstance(given, list) else 0
        raise Refusal(f"words: {len(chosen)} lists are given for {count} texts; give one for each, if an empty one")
    items = [item if isinstance(item, Mapping) else {"text": item} for item in given]
    return [{**item, "words": each} for item, each in zip(items, chosen, strict=True)], None


@contextmanager
def _named(
    models: Sequence[Model], tokenizer: "PreTrainedTokenizerBase | None"
) -> Iterator[tuple[list[str], dict[str, "LanguageModel"]]]:
    """What a spec calls the models, and those of them that are loaded, by their names."""
    names: list[str] = []
    loaded: dict[str, LanguageModel] = {}
    given = [each if isinstance(each, PrunedModel) else None for each in models]
    plain = [each.model if isinstance(each, PrunedModel) and each.model is not None else each for each in models]
    references = [_reference(each) for each in plain]
    with ExitStack() as stack:
        for model, result, reference in zip(plain, given, references, strict=True):
            if reference is not None:
                names.append(reference)
                continue
            from transformers import PreTrainedModel

            from prunescope.lm.adopted import adopted, tokenizer_of

            if not isinstance(model, PreTrainedModel):
                raise Refusal(f"{type(model).__name__} is no model: give {FORMS}")
            if any(lm.model is model for lm in loaded.values()):
                raise Refusal(
                    "the dense and a pruned model are one object: prune changes a loaded model in place, "
                    "so prune copy.deepcopy(model)"
                )
            wanted = result.label if result is not None else _name_of(model)
            name = _unlike(wanted, {*names, *filter(None, references)})
            own = tokenizer or (result and result.tokenizer) or tokenizer_of(model)
            loaded[name] = stack.enter_context(adopted(model, own, name))
            names.append(name)
        yield names, loaded


def _reference(model: Model) -> str | None:
    """How a spec names a model that is not loaded; None for a loaded one."""
    if isinstance(model, PrunedModel) and model.folder is not None:
        return str(model.folder)
    return os.fspath(model) if isinstance(model, str | os.PathLike) else None


def _name_of(model: "PreTrainedModel") -> str:
    """The last part of where a loaded model comes from, or the name of its class."""
    return str(model.config.name_or_path or "").rstrip("/").rpartition("/")[2] or type(model).__name__


def _unlike(name: str, others: set[str]) -> str:
    """The name, with a number where others have it."""
    tries = [name, *(f"{name} ({number})" for number in range(2, len(others) + 3))]
    return next(each for each in tries if each not in others)
