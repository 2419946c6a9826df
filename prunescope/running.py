"""Runs one stage in this process, without the queue, for the command and the Python API.

A spec is the same as a job's and is validated in the same way, but a model may be in any folder: model roots apply to
jobs only.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from prunescope.errors import Failure, Unfinished, refusing
from prunescope.inputs import check_readable
from prunescope.jobs.documents import Progress
from prunescope.jobs.paths import expanded
from prunescope.jobs.references import DEMO, DEMO_FOLDER, PRUNED
from prunescope.jobs.settings import Settings
from prunescope.jobs.specs import AttributeSpec, CorpusSpec, EvaluateSpec, ExplainSpec, PruneSpec
from prunescope.outputs import OUTPUT, check_outside, new_folder, not_resumable, resumed_folder, unfinished_place
from prunescope.store.artefacts.unfinished import remove_unfinished
from prunescope.store.explanations.documents import Explanation

if TYPE_CHECKING:
    from prunescope.lm.loading import LanguageModel
    from prunescope.store.corpora.documents import StoredCorpus
    from prunescope.worker.context import Context

Report = Callable[[Progress], None]
Loaded = Mapping[str, "LanguageModel"]
"""Reference in a spec -> model that the caller has loaded."""
NONE: Loaded = MappingProxyType({})


def prune(spec: PruneSpec, output: Path, settings: Settings, report: Report, option: str = OUTPUT) -> dict[str, Any]:
    """Write a pruned copy of a model to `output` and return the document `pruning.json`. After an interruption or a
    kill, the same call resumes after the last finished layer. Errors call the output by `option`.

    Raises Refusal for an output that cannot be used, Problem or BadInput for an input that cannot, Failure if the
    result cannot be stored; Unfinished, if finished layers are kept, with the exception that interrupted the work as
    its cause (also KeyboardInterrupt).
    """
    check_outside(output, [folder_named(spec.model)], option)
    key = unfinished_key(output, spec)
    hidden = unfinished_place(output, key, option)
    try:
        with resumed_folder(output, key, option) as (folder, finished), stage_context(settings, report) as context:
            from prunescope.worker import stages

            return stages.prune(spec, folder, context, finished)
    except (Exception, KeyboardInterrupt) as error:
        if not_resumable(error) or not hidden.exists():
            raise
        if not any(hidden.rglob("*.safetensors")):
            remove_unfinished(hidden)
            raise
        raise Unfinished(
            f"finished layers are kept in {hidden}, and running the same again resumes from them"
        ) from error


def prune_loaded(
    spec: PruneSpec, lm: "LanguageModel", output: Path | None, settings: Settings, report: Report, option: str = OUTPUT
) -> dict[str, Any]:
    """Prune a loaded model in place, save it in `output` if that is given, and return the document `pruning.json`.
    Raises the same exceptions as `prune`, except Unfinished."""
    with ExitStack() as stack:
        folder = None if output is None else stack.enter_context(new_folder(output, option))
        context = stack.enter_context(stage_context(settings, report))
        from prunescope.worker import stages

        return stages.prune_in_place(spec, lm, folder, context)


def evaluate(spec: EvaluateSpec, settings: Settings, report: Report, loaded: Loaded = NONE) -> dict[str, Any]:
    """Evaluate a model and return the document `evaluation.json`. Raises Refusal, Problem or BadInput for an input that
    cannot be used, and Failure if a library is missing."""
    with stage_context(settings, report, loaded) as context:
        from prunescope.worker import stages

        return stages.evaluate(spec, None, context)


def attribute(
    spec: AttributeSpec,
    output: Path,
    settings: Settings,
    report: Report,
    loaded: Loaded = NONE,
    option: str = OUTPUT,
) -> dict[str, Any]:
    """Write an attribution to `output`, a Zarr group, and return its summary. Errors call the output by `option`.
    Raises Refusal for an output that cannot be used, Problem or BadInput for an input that cannot, and Failure if the
    result cannot be stored or a library is missing."""
    named = [reference for reference in (spec.dense, *spec.pruned) if reference not in loaded]
    check_outside(output, map(folder_named, named), option)
    with new_folder(output, option) as folder, stage_context(settings, report, loaded) as context:
        from prunescope.worker import stages

        return stages.attribute(spec, folder, context)


def explain(
    spec: ExplainSpec,
    output: Path | None,
    settings: Settings,
    report: Report,
    loaded: Loaded = NONE,
    option: str = OUTPUT,
) -> Explanation:
    """Run an explanation, write it to `output` if that is given, and return its document. Errors call the output by
    `option`. Raises the same exceptions as `attribute`."""
    named = [reference for reference in (spec.dense, spec.pruned) if reference not in loaded]
    with ExitStack() as stack:
        if output is None:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="prunescope-")))
        else:
            check_outside(output, map(folder_named, named), option)
            folder = stack.enter_context(new_folder(output, option))
        context = stack.enter_context(stage_context(settings, report, loaded))
        from prunescope.worker.explain import explain as stage

        return stage(spec, folder, context)


def corpus(
    spec: CorpusSpec,
    output: Path,
    settings: Settings,
    report: Report,
    loaded: Loaded = NONE,
    option: str = OUTPUT,
) -> "StoredCorpus":
    """Write a corpus's artefact to the folder `output`, and return its document. Errors call the output by `option`.
    Raises the exceptions of `attribute`."""
    named = [reference for reference in spec.models if reference not in loaded]
    check_outside(output, map(folder_named, named), option)
    with new_folder(output, option) as folder, stage_context(settings, report, loaded) as context:
        from prunescope.worker.corpus import corpus as read

        return read(spec, folder, context)


def unfinished_key(output: Path, spec: PruneSpec) -> str:
    """A key of a run's spec and output path; a run resumes from the finished layers of a run with the same key."""
    return hashlib.sha256(f"{output.absolute()}\n{spec.model_dump_json()}".encode()).hexdigest()[:12]


@contextmanager
def stage_context(settings: Settings, report: Report, loaded: Loaded = NONE) -> Iterator["Context"]:
    """Context manager: yield the Context in which a stage runs. During the block, transformers logs only errors and
    shows no progress bars. Raises Failure if a library that the worker needs is not installed."""
    from prunescope.worker.lifetime import wait_passively

    wait_passively()
    try:
        from transformers.utils import logging as transformers_logging

        from prunescope.worker.context import Context
        from prunescope.worker.models import ModelCache
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == "prunescope":
            raise
        raise Failure(f"{missing} is not installed: run pip install 'prunescope[worker]'") from error

    verbosity, bar = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()  # its hints are meant for programmers
    transformers_logging.disable_progress_bar()
    try:
        yield Context(
            settings=settings,
            models=ModelCache(settings.device, settings.dtype, loaded=loaded),
            place_of=lambda reference: reference if reference in loaded else _place(reference, settings),
            file_of=_file,
            report=report,
            check=lambda: None,
        )
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bar:
            transformers_logging.enable_progress_bar()


def folder_named(reference: str) -> Path | None:
    """The folder that a model reference names, even if it is not a model's; None for a hub id or `pruned:<id>`. Raises
    Refusal for an invalid path."""
    if reference == DEMO:
        return DEMO_FOLDER
    with refusing(f"model {reference!r}:"):
        if reference.startswith("~") or (os.sep in reference and os.path.lexists(reference)):
            return expanded(reference)
        return Path(reference) if expanded(reference).is_dir() else None


def _place(reference: str, settings: Settings) -> Path | str:
    """The folder or hub id of a model reference. A folder may be anywhere; `demo` and hub ids are returned unchanged;
    `pruned:<id>` is a pruned model in the store."""
    if not reference.startswith(PRUNED):
        return reference if folder_named(reference) is None or reference == DEMO else expanded(reference)
    from prunescope.jobs.references import resolve_model
    from prunescope.store.artefacts.folders import Artefacts

    artefacts = Artefacts(settings.resolved_artefacts_url, settings.resolved_home / "cache")
    return resolve_model(reference, settings, artefacts.fetch_model)


def _file(name: str) -> Path:
    """The path of a file of texts or windows that a spec names. Raises Refusal if it is not a readable file."""
    file = expanded(name)
    if file.exists():  # for a missing file, the code that reads it raises an error that lists alternatives
        check_readable(file, "file")
    return file
