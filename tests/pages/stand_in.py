"""A worker that takes jobs as the real one does and answers with made-up artefacts, when a test says so."""

import hashlib
import json
import math
import random
from typing import Any

import numpy as np

from prunescope.jobs.documents import Job, JobKind, LogLine, Progress
from prunescope.jobs.events import publish_job, publish_log, publish_progress
from prunescope.jobs.references import PRUNED
from prunescope.jobs.specs import PruneSpec
from prunescope.server.stores import Stores
from prunescope.store.artefacts.records import RESULT_OF
from prunescope.store.corpora.documents import ListedCorpus
from prunescope.store.evaluations.outcomes import EVALUATION_JSON
from prunescope.store.explanations.summary import ListedExplanation
from prunescope.store.jobs.store import utc_now
from tests.made_up_corpus import write_made_up_corpus
from tests.made_up_explanation import made_up_explanation, write_made_up_explanation
from tests.pages.seed import LAYERS as SEED_LAYERS
from tests.pages.seed import NEURONS as SEED_NEURONS
from tests.pages.seed import write_attribution

NAME = "stand-in"
LEASE_SECONDS = 600
LAYERS = 4
MATRICES = {
    "self_attn.q_proj": 64,
    "self_attn.k_proj": 64,
    "self_attn.v_proj": 64,
    "self_attn.o_proj": 64,
    "mlp.gate_proj": 160,
    "mlp.up_proj": 160,
    "mlp.down_proj": 64,
}
REVIEWS = ("A badly damaged chair and a crappy room.", "I adored it: warm, funny, generous.", "Coffee tasted burnt.")


class StandIn:
    """Works on the jobs of one installation, one step at a time."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores

    def take(self, job: str) -> Job:
        """Claim a queued job."""
        claimed = self.stores.jobs.claim(job, NAME, LEASE_SECONDS)
        assert claimed is not None, f"job {job} is not there to be started"
        publish_job(self.stores.redis, claimed)
        return claimed

    def say(self, job: Job, progress: Progress, line: str | None = None) -> None:
        """Tell how far the job is, and log a line."""
        assert self.stores.jobs.progress(job.id, NAME, progress)
        publish_progress(self.stores.redis, job, progress)
        if line is not None:
            entry = self.stores.jobs.append_log(job.id, line)
            publish_log(
                self.stores.redis, job.id, entry if isinstance(entry, LogLine) else LogLine(at=utc_now(), line=line)
            )

    def finish(self, job: Job) -> None:
        """Make the job's artefact, keep its record, and end it."""
        kind, name = RESULT_OF[job.kind], job.artefact_id
        with self.stores.artefacts.staging(kind, name) as folder:
            match job.kind:
                case JobKind.PRUNE:
                    summary, files = _model(job)
                case JobKind.EVALUATE:
                    summary, files = {}, {EVALUATION_JSON: _evaluation(job)}
                case JobKind.EXPLAIN:
                    document = made_up_explanation(
                        job.spec["dense"],
                        job.spec["pruned"],
                        size=(SEED_LAYERS, SEED_NEURONS, 4),
                        task=job.spec["task"],
                    )
                    explained = write_made_up_explanation(folder, document)
                    summary, files = ListedExplanation.read(explained).model_dump(mode="json"), {}
                case JobKind.CORPUS:
                    models, size = job.spec["models"], {"layers": SEED_LAYERS, "neurons": SEED_NEURONS}
                    summary = ListedCorpus.read(write_made_up_corpus(folder, models, **size)).model_dump()
                    files = {}
                case _:
                    labels = [self._label(reference) for reference in [job.spec["dense"], *job.spec["pruned"]]]
                    write_attribution(folder, job.spec, labels)
                    summary, files = {"words": []}, {}
            for file, document in files.items():
                (folder / file).write_text(json.dumps(document), encoding="utf-8")
        if job.kind is JobKind.EVALUATE:
            document = files[EVALUATION_JSON]
            self.stores.results.add_evaluation(name, job=job.id, spec=job.spec, document=document)
        else:
            self.stores.results.add(kind, name, job=job.id, spec=job.spec, summary=summary)
        result = {kind: f"{PRUNED}{name}" if job.kind is JobKind.PRUNE else name}
        assert self.stores.jobs.succeed(job.id, NAME, result)
        publish_job(self.stores.redis, self.stores.jobs.get(job.id))

    def fail(self, job: Job, problem: dict[str, Any]) -> None:
        """End the job with a problem document."""
        assert self.stores.jobs.fail(job.id, NAME, problem)
        publish_job(self.stores.redis, self.stores.jobs.get(job.id))

    def stop(self, job: Job) -> None:
        """What a worker does with a job that was asked to stop."""
        assert self.stores.jobs.mark_cancelled(job.id, NAME)
        publish_job(self.stores.redis, self.stores.jobs.get(job.id))

    def work_off(self) -> None:
        """Everything that is ready, and what becomes ready by that."""
        jobs = self.stores.jobs
        while ready := [
            job.id
            for job in jobs.list(state="queued", limit=200)[0]
            if job.kind is not JobKind.STUDY and jobs.is_ready(job.id)
        ]:
            for job in reversed(ready):
                self.finish(self.take(job))

    def _label(self, reference: str) -> str:
        found = self.stores.results.many("model", [reference.removeprefix(PRUNED)])
        return next((str(record.summary["label"]) for record in found.values()), reference)


def _model(job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    spec = PruneSpec.model_validate(job.spec)
    text = spec.calibration.dataset if spec.calibration else None
    label = " · ".join(part for part in (spec.method.name, text, str(spec.pattern)) if part)
    layers = model_layers(LAYERS, MATRICES, seed=int(job.fingerprint[:8], 16), measured=spec.calibration is not None)
    report = {
        "spec": job.spec,
        "label": label,
        "sparsity": 0.5,
        "seconds": 9.8,
        "stages": {"load": 0.4, "calibration": 0.2, "statistics": 4.1, "decide": 2.6, "forward": 1.3, "save": 0.9},
        "device": "cpu",
        "dtype": "float32",
        "saved_dtype": "float16",
        "batch": 8,
        "layers": layers,
        "versions": {"prunescope": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0", "numerics": "2"},
    }
    if spec.calibration:
        report["calibration"] = {
            "source": text,
            "mode": "concat",
            "samples": spec.calibration.samples,
            "seqlen": spec.calibration.seqlen,
            "seed": spec.calibration.seed,
            "tokens": (spec.calibration.samples or 0) * (spec.calibration.seqlen or 0),
            "sha256": "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53",
        }
    summary = {
        "label": label,
        "method": spec.method.name,
        "pattern": str(spec.pattern),
        "sparsity": 0.5,
        "relative_error": mean_error(layers),
    }
    return summary, {"pruning.json": report, "config.json": {}}


def model_layers(
    layers: int, matrices: dict[str, int], *, seed: int, measured: bool = True, spread: float = 0.0
) -> list[dict[str, Any]]:
    """A report's layers; `spread`: how far their sparsities lie from 0.5 at either end."""
    draw = np.random.default_rng(seed)
    return [
        {
            "layer": layer,
            "seconds": 2.1 + layer / 10,
            "matrices": [
                {
                    "name": name,
                    "rows": rows,
                    "columns": 64,
                    "sparsity": 0.5 + spread * (1 - 2 * layer / max(1, layers - 1)),
                    "relative_error": float(draw.uniform(0.05, 0.2) * (1 + layer / layers)) if measured else None,
                    "damping_retries": 0,
                    "permuted": False,
                }
                for name, rows in matrices.items()
            ],
        }
        for layer in range(layers)
    ]


def mean_error(layers: list[dict[str, Any]]) -> float | None:
    """Of all matrices."""
    errors = [matrix["relative_error"] for layer in layers for matrix in layer["matrices"]]
    return None if None in errors else sum(errors) / len(errors)


def _evaluation(job: Job) -> dict[str, Any]:
    rows = 120
    draw = random.Random(job.fingerprint)
    right = 0.8 if not job.spec["model"].startswith(PRUNED) else draw.uniform(0.5, 0.75)
    tasks = {}
    for task in job.spec["tasks"]:
        examples = [_example(index, draw.random() < right) for index in range(rows)]
        accuracy = sum(each["chosen"] == each["answer"] for each in examples) / rows
        half = 1.96 * (accuracy * (1 - accuracy) / rows) ** 0.5
        tasks[task] = {
            "accuracy": accuracy,
            "rows": rows,
            "interval": [max(0.0, accuracy - half), min(1.0, accuracy + half)],
            "chance": 0.5,
            "majority": 0.5,
            "version": "1",
            "prompt_hash": "0" * 16,
            "examples": examples,
        }
    texts = {name: _perplexity(job, name) for name in (job.spec.get("perplexity") or {}).get("datasets", ())}
    return {"model": job.spec["model"], "spec": job.spec, "tasks": tasks, "perplexity": texts}


def _perplexity(job: Job, text: str) -> dict[str, Any]:
    """Windows as hard for every model; a pruned one loses more the more its fingerprint says."""
    windows, seqlen = 40, 128
    hard = np.random.default_rng(len(text)).normal(1.7 + len(text) / 20, 0.25, windows)
    draw = np.random.default_rng(int(job.fingerprint[:8], 16))
    pruned = job.spec["model"].startswith(PRUNED)
    lost = draw.exponential(0.4) + draw.normal(0, 0.03, windows) if pruned else np.zeros(windows)
    nlls = hard + lost
    nll, reach = float(nlls.mean()), 2 * float(nlls.std(ddof=1)) / windows**0.5
    return {
        "perplexity": math.exp(nll),
        "nll": nll,
        "interval": [math.exp(nll - reach), math.exp(nll + reach)],
        "tokens": windows * (seqlen - 1),
        "windows": windows,
        "seqlen": seqlen,
        "nlls": nlls.tolist(),
        "source": f"{text}.test.txt",
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


def _example(index: int, right: bool) -> dict[str, Any]:
    answer = index % 2
    chosen = answer if right else 1 - answer
    scores = [-2.0, -2.0]
    scores[chosen] = -0.5
    choices = ["negative", "positive"]
    return {
        "index": index,
        "text": f"{REVIEWS[index % 3]}\nQuestion: Is this sentence positive or negative?",
        "scores": scores,
        "chosen": chosen,
        "answer": answer,
        "choices": choices,
    }
