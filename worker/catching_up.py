"""Completes the records that earlier versions of the project stored, when a worker starts. The missing data are read
from the artefacts."""

import json
import logging

from prunescope.jobs.problems import Problem
from prunescope.store.attributions.activations import ActivationStore
from prunescope.store.attributions.summary import ListedAttribution
from prunescope.store.evaluations.outcomes import EVALUATION_JSON
from prunescope.store.submission import Stores

log = logging.getLogger(__name__)


def catch_up_evaluations(stores: Stores) -> int:
    """Store the outcomes of all evaluations that have none in the database, or none of the scores of fixed labels, and
    pair them. Returns the number of evaluations that were completed. An evaluation that cannot be read is skipped; its
    differences from the dense model have no interval."""
    done = 0
    for name in stores.measurements.without_outcomes():
        try:
            document = json.loads(stores.artefacts.read("evaluation", name, EVALUATION_JSON))
            done += stores.results.add_outcomes(name, document)
        except (Problem, OSError, ValueError, KeyError, TypeError) as error:
            log.warning("evaluation %s cannot be read, and is not paired with its dense model: %s", name, error)
    return done


def catch_up_labels(stores: Stores) -> int:
    """Store the label values of all evaluations with accuracies that have none in the database. Returns the number of
    evaluations that were completed. An evaluation that cannot be read is skipped; its page shows no label values."""
    done = 0
    for name in stores.measurements.without_labels():
        try:
            stores.results.add_labels(name, json.loads(stores.artefacts.read("evaluation", name, EVALUATION_JSON)))
        except (Problem, OSError, ValueError, KeyError, TypeError) as error:
            log.warning("evaluation %s cannot be read, and has no label values: %s", name, error)
            continue
        done += 1
    return done


def catch_up_attributions(stores: Stores) -> int:
    """Store the summary of all attributions whose records lack the data that lists show. Returns the number of
    attributions that were completed. An attribution that cannot be read is skipped; lists try to read it again and mark
    it as damaged."""
    done = 0
    for record in stores.results.everything("attribution"):
        if ListedAttribution.of_record(record.summary) is not None:
            continue
        try:
            listed = ListedAttribution.read(ActivationStore(stores.artefacts.path("attribution", record.id)))
        except (Problem, OSError, ValueError, KeyError, TypeError) as error:
            log.warning("attribution %s cannot be read: %s", record.id, error)
            continue
        stores.results.summarise("attribution", record.id, listed.model_dump())
        done += 1
    return done
