"""`prunescope corpus`: reads a corpus in this process, without the queue."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prunescope import running
from prunescope.cli.options import numbers
from prunescope.cli.stages import displayed
from prunescope.jobs.documents import JobKind
from prunescope.jobs.settings import Settings
from prunescope.jobs.specs import CorpusSpec, parse_spec
from prunescope.outputs import JSON, check_outside, checked_folder, new_file


def run(
    settings: Settings, output: Path, document: Mapping[str, Any], *, layers: str | None, file: Path | None
) -> None:
    """Write a corpus to the folder `output` and print a summary. `document` is its spec without `layers`, which are
    separated by commas (None: all). If `file` is given, the document `corpus.json` is also written there.

    Raises Refusal or BadInput for errors that the user can correct, Problem for an invalid spec, Failure if the result
    cannot be stored.
    """
    checked_folder(output)
    chosen = None if layers is None else numbers(layers, "--layers")
    spec = parse_spec(JobKind.CORPUS, {**document, "layers": chosen})
    assert isinstance(spec, CorpusSpec)
    with contextlib.ExitStack() as opened:
        place = None
        if file is not None:
            check_outside(file, map(running.folder_named, spec.models), JSON)
            place = opened.enter_context(new_file(file))
        with displayed() as report:
            read = running.corpus(spec, output, settings, report)
        if place is not None:
            place.write_text(json.dumps(read.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    left_out = read.sink_tokens or 0
    all_of_it = "" if read.tokens + left_out >= read.asked else f" (all of it; {read.asked:,} were asked for)"
    print(
        f"{output}: {read.tokens:,} tokens{all_of_it} of {read.dataset} in {read.windows:,} windows"
        f"{f', {left_out:,} attention sinks left out' if left_out else ''}, "
        f"{len(read.layers)} layers of {read.neurons:,} neurons, {len(read.models)} "
        f"{'model' if len(read.models) == 1 else 'models'}, {read.seconds:.1f} s"
    )
