"""Checks that the models and files that a spec names exist and that jobs may read them, and identifies their contents
for the fingerprint.

Each name is looked up in the same places as by the worker: the files of the demo, then the data folder (`eval/`,
`calibration/`), then the hub, which is not contacted here.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from prunescope.jobs.fingerprints import contents_of
from prunescope.jobs.problems import bad_field
from prunescope.jobs.references import FolderModel, HubModel, PrunedModel, parse_reference, resolve_file
from prunescope.jobs.settings import Settings
from prunescope.jobs.specs import (
    AttributeSpec,
    Calibration,
    CorpusSpec,
    EvaluateSpec,
    ExplainSpec,
    Perplexity,
    PruneSpec,
    Reading,
    Spec,
    StudySpec,
    TaskRows,
    TaskTexts,
)
from prunescope.jobs.vocabulary import CALIBRATION_SETS, LOCAL_TASKS, PERPLEXITY_SETS

_HUB = "hub"
_DEMO = Path(__file__).resolve().parents[1] / "demo"


class Contents:
    """Looks up the names of a spec, each name once. Create a new instance for each submission."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._models: dict[str, str] = {}
        # The cells of a study repeat the same few names thousands of times.
        self._tasks = cache(self._look_up_tasks)
        self._calibration = cache(self._look_up_calibration)
        self._perplexity = cache(self._look_up_perplexity)

    def of(self, spec: Spec) -> dict[str, str]:
        """Name -> an identifier of its contents, for every model, task, text and file that the spec names. Raises
        Problem 422, naming the field, if one does not exist or a job may not read it."""
        match spec:
            case PruneSpec():
                calibration = {} if spec.calibration is None else self._calibration(spec.calibration, "calibration")
                return {**self._model(spec.model, "model"), **calibration}
            case EvaluateSpec():
                texts = self._perplexity(spec.perplexity)
                return {**self._model(spec.model, "model"), **self._tasks(spec.tasks), **texts}
            case AttributeSpec():
                pruned: dict[str, str] = {}
                for index, reference in enumerate(spec.pruned):
                    pruned |= self._model(reference, f"pruned.{index}")
                return {**self._model(spec.dense, "dense"), **pruned, **self._texts(spec)}
            case ExplainSpec():
                models = {**self._model(spec.dense, "dense"), **self._model(spec.pruned, "pruned")}
                if spec.perplexity is not None:
                    name = spec.perplexity.dataset
                    return {**models, f"perplexity {name}": self._look_up_text(name, "perplexity.dataset")}
                return {**models, f"task {spec.source}": self._look_up_task(spec.source, "task")}
            case CorpusSpec():
                models = {}
                for index, reference in enumerate(spec.models):
                    models |= self._model(reference, f"models.{index}")
                if spec.dataset in CALIBRATION_SETS:
                    return {**models, **self._running_text(spec.dataset, None, "dataset", "dataset")}
                return {**models, **self._running_text(None, spec.dataset, "dataset", "dataset")}
            case StudySpec():
                found = {**self._tasks(spec.tasks), **self._perplexity(spec.perplexity)}
                for index, reference in enumerate(spec.models):
                    found |= self._model(reference, f"models.{index}")
                for index, source in enumerate(spec.calibrations):
                    found |= self._calibration(source, f"calibrations.{index}")
                for attribution in spec.attributions:
                    found |= self._texts(attribution)
                return found

    def _model(self, text: str, field: str) -> dict[str, str]:
        if text not in self._models:
            match parse_reference(text, self.settings, field):
                case FolderModel(path):
                    self._models[text] = contents_of(path)
                case HubModel(name, revision):
                    self._models[text] = f"hub {name}@{revision}"
                case PrunedModel(name):
                    # The id is derived from a fingerprint, so it is known before the model exists.
                    self._models[text] = f"pruned {name}"
        return {f"model {text}": self._models[text]}

    def _look_up_calibration(self, calibration: Calibration, field: str) -> Mapping[str, str]:
        return self._running_text(calibration.dataset, calibration.file, f"{field}.dataset", f"{field}.file")

    def _running_text(self, name: str | None, file: str | None, field: str, file_field: str) -> Mapping[str, str]:
        """The contents of the calibration set `name`, or of a file. The fields are those that name them in the spec."""
        if file is not None:
            return {f"file {file}": contents_of(resolve_file(file, self.settings, file_field))}
        if name == "demo":
            return {"calibration demo": _contents_or_missing(_DEMO / "calibration.jsonl", field, name)}
        return {f"calibration {name}": self._data("calibration", f"{name}.jsonl", f"{name}.train.txt")}

    def _look_up_tasks(self, tasks: tuple[str, ...]) -> Mapping[str, str]:
        return {f"task {task}": self._look_up_task(task, f"tasks.{index}") for index, task in enumerate(tasks)}

    def _look_up_task(self, task: str, field: str) -> str:
        if task == "reviews":
            return _contents_or_missing(_DEMO / "reviews.jsonl", field, task)
        found = self._data("eval", f"{task}.jsonl")
        if task in LOCAL_TASKS and found == _HUB:
            raise bad_field(field, task, "a local file with its rows", LOCAL_TASKS[task])
        return found

    def _look_up_perplexity(self, perplexity: Perplexity | None) -> Mapping[str, str]:
        names = perplexity.datasets if perplexity else ()
        return {
            f"perplexity {name}": self._look_up_text(name, f"perplexity.datasets.{index}")
            for index, name in enumerate(names)
        }

    def _look_up_text(self, name: str, field: str) -> str:
        if name == "demo":
            return _contents_or_missing(_DEMO / "reviews.jsonl", field, name)
        if name in PERPLEXITY_SETS:
            return self._data("calibration", f"{name}.test.txt", f"{name}.valid.jsonl")
        return contents_of(resolve_file(name, self.settings, field))

    def _texts(self, spec: Reading) -> Mapping[str, str]:
        # Supplied texts are in the spec itself; prompts are covered by the version of the numerics.
        named = [spec.texts.dataset] if isinstance(spec.texts, TaskTexts | TaskRows) else []
        named += [spec.causal.task] if spec.causal else []
        return {key: content for task in named for key, content in self._tasks((task,)).items()}

    def _data(self, folder: str, *names: str) -> str:
        """The contents of the first of these files in the data folder; `hub` if there is none."""
        for name in names:
            if self.settings.data is not None and (path := self.settings.data / folder / name).is_file():
                return contents_of(path)
        return _HUB


def _contents_or_missing(path: Path, field: str, name: str) -> str:
    """The contents of a file of the demo. Raises Problem 422, naming `field`, if the installation lacks it."""
    if not path.is_file():
        raise bad_field(
            field, name, "another name", f"{name!r} needs the file demo/{path.name}, which is not in this installation"
        )
    return contents_of(path)
