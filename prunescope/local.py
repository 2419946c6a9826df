"""The API functions `prune`, `evaluate`, `attribute`, `explain` and `corpus`, which run in this process. The arguments
are converted to the same spec as a job's."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from prunescope import running
from prunescope.attributions import Attribution
from prunescope.corpora import Corpus, open_corpus
from prunescope.errors import Refusal, prunescope_errors
from prunescope.explanations import Explanation, explanation
from prunescope.inputs import calibration_source
from prunescope.jobs.bounds import DEFAULT_CORPUS_TOKENS, DEFAULT_PLACEBO
from prunescope.jobs.documents import JobKind, Progress
from prunescope.jobs.paths import expanded
from prunescope.jobs.specs import AttributeSpec, CorpusSpec, EvaluateSpec, ExplainSpec, PruneSpec, parse_spec
from prunescope.lm.errors import BadInput
from prunescope.outputs import checked_folder
from prunescope.results import Evaluation, PrunedModel, evaluation, pruned_model
from prunescope.settings import read_settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from prunescope.lm.loading import LanguageModel

PathLike: TypeAlias = str | os.PathLike[str]
Model: TypeAlias = "PathLike | PreTrainedModel | PrunedModel"
"""`demo`, a folder, a hub id with an optional `@revision`, a loaded model, or the result of `prune`."""
OnProgress: TypeAlias = Callable[[Progress], None]

OUTPUT = "output"
"""The name of the argument in errors."""
FORMS = "demo, a folder, a hub id, a transformers model, or the result of prune"


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
    """Prune the linear layers in a model's decoder layers, either to a `sparsity` in [0, 1) or to a `pattern` such as
    "2:4" (of every 4 consecutive weights in a row, 2 are kept).

    If `model` is a name or a folder, the pruned model is written to the folder `output`, with one layer in memory at a
    time; after an interruption, the same call resumes after the last finished layer. A loaded model is pruned in place,
    on its device, and also saved if `output` is given; pass `copy.deepcopy(model)` to keep the dense model.

    `method` and `allocation` are names, or `{"name": ..., option: ...}`. `calibration` is a data set, a file (.txt,
    .jsonl, .safetensors) or `{"dataset" | "file": ..., "samples", "seqlen", "seed", "mode", "bos"}`; None for methods
    that need none. `tokenizer` is for a loaded model; None loads the tokenizer of `model.config.name_or_path`. `data`
    is a folder with calibration/, which is searched before the hub. `device` (auto, cpu, cuda, cuda:1) and `dtype`
    (auto, float32, float16, bfloat16) are those of the computation; None reads them from the environment. `on_progress`
    is called with progress reports, several for each layer.

    Raises PrunescopeError.
    """
    with prunescope_errors(BadInput):
        settings = read_settings("", data=data, device=device, dtype=dtype)
        if (sparsity is None) == (pattern is None):
            raise Refusal("give the amount to prune: either sparsity=0.5 or pattern='2:4'")
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
    """Measure a model's zero-shot accuracy on `tasks` and its perplexity on texts, with 95 % intervals.

    `limit` restricts each task to its first rows (None: all rows). `perplexity` is a list of texts (wikitext2, ptb, c4,
    demo, .txt or .jsonl files), or `{"datasets": [...], "seqlen", "windows", "bos"}`. `newline` is the line end in the
    prompt of the paper's Figure 1: `real`, or `literal` for a backslash and an n. A loaded model is evaluated on its
    own device and in its own dtype. `data` is a folder with eval/ and calibration/, which is searched before the hub;
    the other arguments are those of `prune`.

    Raises PrunescopeError.
    """
    with prunescope_errors(BadInput):
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
    placebo: int = DEFAULT_PLACEBO,
    permutations: int = 1000,
    floor: float = 0.05,
    special_tokens: bool = False,
    sinks: bool = False,
    causal: str | Mapping[str, Any] | None = None,
    seed: int = 0,
    output: PathLike | None = None,
    tokenizer: "PreTrainedTokenizerBase | None" = None,
    data: PathLike | None = None,
    device: str | None = None,
    dtype: str | None = None,
    on_progress: OnProgress = _silent,
) -> Attribution:
    """Record the neurons' activations on the same texts in a dense model and its pruned ones, and find the neurons that
    respond to the texts' influential words.

    `texts` are strings, `{"text": ..., "label"?, "words"?}`, or rows of a task: `{"dataset": "sst2", "count": 10}`.
    `words` is the source of the influential words (auto, manual, cot, cot-free, occlusion, gradient, or `{"source":
    ..., "content": True}` for content words only; None: manual if the texts give words, else auto), or a list of words
    for each text. `tokenizer` is for all loaded models. The attribution is written
    to `output`, a Zarr group, which `open_attribution` opens again; without `output` it is written to a temporary
    folder, which is deleted with the returned object. The other arguments are fields of an attribute spec
    (docs/attribution.md), or those of `prune`.

    Raises PrunescopeError.
    """
    with prunescope_errors(BadInput):
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
                "placebo": placebo,
                "permutations": permutations,
                "floor": floor,
                "special_tokens": special_tokens,
                "sinks": sinks,
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


def explain(
    dense: Model,
    pruned: Model,
    task: str | None = None,
    *,
    perplexity: str | Mapping[str, Any] | None = None,
    rows: str | None = None,
    limit: int = 200,
    neurons: Sequence[int] | None = None,
    heads: bool = True,
    sinks: bool = False,
    content: bool = False,
    steps: int = 8,
    draws: int = 5,
    seed: int = 0,
    output: PathLike | None = None,
    tokenizer: "PreTrainedTokenizerBase | None" = None,
    data: PathLike | None = None,
    device: str | None = None,
    dtype: str | None = None,
    on_progress: OnProgress = _silent,
) -> Explanation:
    """Find what pruning broke on a task, or on a text (`perplexity`), and how much of it each neuron carries.

    `rows` are the held-out rows over which restored margins are summed: `broken`, `fell` or `all` (None: broken; fell
    for a text). `neurons` are the numbers of neurons whose dense activations are put into the pruned model. The
    artefact is written to `output` if that is given. The other arguments are fields of an explain spec
    (docs/explain.md), or those of `prune`.

    Raises PrunescopeError.
    """
    with prunescope_errors(BadInput):
        settings = read_settings("", data=data, device=device, dtype=dtype)
        target = _target(output)
        document: dict[str, Any] = {
            "task": task,
            "perplexity": perplexity,
            "limit": limit,
            "heads": heads,
            "sinks": sinks,
            "content": content,
            "steps": steps,
            "draws": draws,
            "seed": seed,
            **({} if rows is None else {"rows": rows}),
            **({} if neurons is None else {"neurons": list(neurons)}),
        }
        with _named([dense, pruned], tokenizer) as (names, loaded):
            spec = parse_spec(JobKind.EXPLAIN, {"dense": names[0], "pruned": names[1], **document})
            assert isinstance(spec, ExplainSpec)
            return explanation(running.explain(spec, target, settings, on_progress, loaded, OUTPUT), target)


def corpus(
    models: Sequence[Model],
    dataset: PathLike,
    *,
    output: PathLike,
    tokens: int = DEFAULT_CORPUS_TOKENS,
    seqlen: int | None = None,
    examples: int = 10,
    layers: Sequence[int] | None = None,
    writes: bool = True,
    sinks: bool = False,
    seed: int = 0,
    tokenizer: "PreTrainedTokenizerBase | None" = None,
    data: PathLike | None = None,
    device: str | None = None,
    dtype: str | None = None,
    on_progress: OnProgress = _silent,
) -> Corpus:
    """Read running text once with a dense model and any variants of it, and describe every neuron: its extreme
    activations in context, their distribution, and the tokens that it writes.

    `models`: the dense model first. `dataset`: a calibration set or a file (.txt, .jsonl). The artefact is written to
    the folder `output`, which `open_corpus` opens again. The other arguments are fields of a corpus spec
    (docs/corpus.md), or those of `prune`.

    Raises PrunescopeError.
    """
    with prunescope_errors(BadInput):
        settings = read_settings("", data=data, device=device, dtype=dtype)
        target = checked_folder(expanded(os.fspath(output)), OUTPUT)
        with _named(_listed(models), tokenizer) as (names, loaded):
            document = {
                "models": names,
                "dataset": os.fspath(dataset),
                "tokens": tokens,
                "seqlen": seqlen,
                "examples": examples,
                "layers": None if layers is None else list(layers),
                "writes": writes,
                "sinks": sinks,
                "seed": seed,
            }
            spec = parse_spec(JobKind.CORPUS, document)
            assert isinstance(spec, CorpusSpec)
            running.corpus(spec, target, settings, on_progress, loaded, OUTPUT)
            return open_corpus(target)


def _target(output: PathLike | None) -> Path | None:
    """The output folder as a path, None if there is none. Raises Refusal, before the work begins, if it cannot be
    created."""
    return None if output is None else checked_folder(expanded(os.fspath(output)), OUTPUT)


def _listed(values: Any) -> list[Any]:
    """A list of names or models; a single value becomes a list of one."""
    return [values] if isinstance(values, str) or not isinstance(values, Sequence) else list(values)


def _with_words(texts: Any, words: Any) -> tuple[Any, Any]:
    """(texts, source of words) as in a spec. If `words` has a list for each text, these lists are put into the texts,
    and the source is None. Raises Refusal if their numbers differ."""
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
        raise Refusal(
            f"words: {len(chosen)} lists are given for {count} texts; give one list for each text, which may be empty"
        )
    items = [item if isinstance(item, Mapping) else {"text": item} for item in given]
    return [{**item, "words": each} for item, each in zip(items, chosen, strict=True)], None


@contextmanager
def _named(
    models: Sequence[Model], tokenizer: "PreTrainedTokenizerBase | None"
) -> Iterator[tuple[list[str], dict[str, "LanguageModel"]]]:
    """Context manager: yield (reference of each model in the spec, reference -> loaded model). Raises Refusal for an
    object that is not a model, and if two models are the same object."""
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
                raise Refusal(f"{type(model).__name__} is not a model: give {FORMS}")
            if any(lm.model is model for lm in loaded.values()):
                raise Refusal(
                    "the dense and a pruned model are the same object: prune changes a loaded model in place, "
                    "so prune copy.deepcopy(model)"
                )
            wanted = result.label if result is not None else _name_of(model)
            name = _unique_name(wanted, {*names, *filter(None, references)})
            own = tokenizer or (result and result.tokenizer) or tokenizer_of(model)
            loaded[name] = stack.enter_context(adopted(model, own, name))
            names.append(name)
        yield names, loaded


def _reference(model: Model) -> str | None:
    """The reference of a model in a spec: its name or folder; None for a model in memory only."""
    if isinstance(model, PrunedModel) and model.folder is not None:
        return str(model.folder)
    return os.fspath(model) if isinstance(model, str | os.PathLike) else None


def _name_of(model: "PreTrainedModel") -> str:
    """The last part of a loaded model's hub id or folder; the name of its class if it has none."""
    return str(model.config.name_or_path or "").rstrip("/").rpartition("/")[2] or type(model).__name__


def _unique_name(name: str, others: set[str]) -> str:
    """`name`, with a number appended if it is one of `others`."""
    tries = [name, *(f"{name} ({number})" for number in range(2, len(others) + 3))]
    return next(each for each in tries if each not in others)
