"""Runs one stage in this process, without the queue: what the command and the Python API have in common.

A spec is the same as a job's, and is checked in the same way; only, any folder will do for a model: the model roots are
for jobs.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from prunescope.errors import Failure, Unfinished, refusing
from prunescope.inputs import check_readable
from prunescope.jobs.documents import Progress
from prunescope.jobs.paths import expanded
from prunescope.jobs.references import DEMO, DEMO_FOLDER, PRUNED
from prunescope.jobs.settings import Settings
from prunescope.jobs.specs import AttributeSpec, EvaluateSpec, PruneSpec
from prunescope.outputs import OUTPUT, check_outside, new_folder, resumed_folder, unfinished_place, worthless
from prunescope.store.artefacts.unfinished import remove_unfinished

if TYPE_CHECKING:
    from prunescope.lm.loading import LanguageModel
    from prunescope.worker.context import Context

Report = Callable[[Progress], None]
Loaded = Mapping[str, "LanguageModel"]
"""Models that the caller has loaded, by the references that a spec calls them."""
NONE: Loaded = MappingProxyType({})


def prune(spec: PruneSpec, output: Path, settings: Settings, report: Report, option: str = OUTPUT) -> dict[str, Any]:
    """Write a pruned copy of a model to `output`; after an interrupt or a kill, the same call goes on from the last
    finished layer. Answers with `pruning.json`.

    Raises Refusal, Failure, Problem, BadInput; Unfinished, whose cause is what ended it (KeyboardInterrupt too), where
    finished layers are kept. Errors call the output by `option`.
    """
    check_outside(output, [folder_named(spec.model)], option)
    key = unfinished_key(output, spec)
    hidden = unfinished_place(output, key, option)
    try:
        with resumed_folder(output, key, option) as (folder, finished), surroundings(settings, report) as context:
            from prunescope.worker import stages

            return stages.prune(spec, folder, context, finished)
    except (Exception, KeyboardInterrupt) as error:
        if worthless(error) or not hidden.exists():
            raise
        if not any(hidden.rglob("*.safetensors")):
            remove_unfinished(hidden)
            raise
        raise Unfinished(
            f"finished layers are kept in {hidden}, and running the same again goes on from there"
        ) from error


def prune_loaded(
    spec: PruneSpec, lm: "LanguageModel", output: Path | None, settings: Settings, report: Report, option: str = OUTPUT
) -> dict[str, Any]:
    """Prune a model in place and save it in `output`, if that is given; answers as `prune`. Raises as `prune`, but is
    never Unfinished."""
    with ExitStack() as stack:
        folder = None if output is None else stack.enter_context(new_folder(output, option))
        context = stack.enter_context(surroundings(settings, report))
        from prunescope.worker import stages

        return stages.prune_in_place(spec, lm, folder, context)


def evaluate(spec: EvaluateSpec, settings: Settings, report: Report, loaded: Loaded = NONE) -> dict[str, Any]:
    """Measure a model; answers with `evaluation.json`. Raises Refusal, Problem, BadInput."""
    with surroundings(settings, report, loaded) as context:
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
    """Write an attribution to `output`, a Zarr group; answers with its summary. Raises Refusal, Failure, Problem,
    BadInput."""
    named = [reference for reference in (spec.dense, *spec.pruned) if reference not in loaded]
    check_outside(output, map(folder_named, named), option)
    with new_folder(output, option) as folder, surroundings(settings, report, loaded) as context:
        from prunescope.worker import stages

        return stages.attribute(spec, folder, context)


def unfinished_key(output: Path, spec: PruneSpec) -> str:
    """What a run is known by that another one may go on from: what is made, and where."""
    return hashlib.sha256(f"{output.absolute()}\n{spec.model_dump_json()}".encode()).hexdigest()[:12]


@contextmanager
def surroundings(settings: Settings, report: Report, loaded: Loaded = NONE) -> Iterator["Context"]:
    """What a stage is given beside its spec. Hints and progress bars of transformers are off inside of the block."""
    from prunescope.worker.lifetime import wait_politely

    wait_politely()
    try:
        from transformers.utils import logging as transformers_logging

        from prunescope.worker.context import Context
        from prunescope.worker.models import WarmModels
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == "prunescope":
            raise
        raise Failure(f"{missing} is not installed: pip install 'prunescope[worker]' brings it") from error

    verbosity, bar = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()  # its hints are for programmers
    transformers_logging.disable_progress_bar()
    try:
        yield Context(
            settings=settings,
            models=WarmModels(settings.device, settings.dtype, loaded=loaded),
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
    """The folder that a reference names itself, whether it holds a model or not."""
    if reference == DEMO:
        return DEMO_FOLDER
    with refusing(f"model {reference!r}:"):
        if reference.startswith("~") or (os.sep in reference and os.path.lexists(reference)):
            return expanded(reference)
        return Path(reference) if expanded(reference).is_dir() else None


def _place(reference: str, settings: Settings) -> Path | str:
    """Any folder, a hub id or `demo` as it stands; `pruned:<id>` is a model of the data folder."""
    if not reference.startswith(PRUNED):
        return reference if folder_named(reference) is None or reference == DEMO else expanded(reference)
    from prunescope.jobs.references import resolve_model
    from prunescope.store.artefacts.folders import Artefacts

    artefacts = Artefacts(settings.resolved_artefacts_url, settings.resolved_home / "cache")
    return resolve_model(reference, settings, artefacts.fetch_model)


def _file(name: str) -> Path:
    """A file of text or windows that was named by its path."""
    file = expanded(name)
    if file.exists():  # what is missing is told by who reads it, with what there is
        check_readable(file, "file")
    return file
