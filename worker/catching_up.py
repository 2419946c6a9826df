"""Adds to records of earlier versions what they lack, read once from their artefacts when a worker starts."""

import json
import logging

from prunescope.jobs.problems import Problem
from prunescope.store.attributions.activations import ActivationStore
from prunescope.store.attributions.summary import ListedAttribution
from prunescope.store.evaluations.outcomes import EVALUATION_JSON
from prunescope.store.submission import Stores

log = logging.getLogger(__name__)


def catch_up_evaluations(stores: Stores) -> int:
    """Store the outcomes of evaluations that have none in the database, and return how many were added. An evaluation
    that cannot be read is skipped: its accuracies are known, but its differences have no interval."""
    done = 0
    for name in stores.measurements.without_outcomes():
        try:
            document = json.loads(stores.artefacts.read("evaluation", name, EVALUATION_JSON))
            done += stores.results.add_outcomes(name, document)
        except (Problem, OSError, ValueError, KeyError, TypeError) as error:
            log.warning("evaluation %s cannot be read, and is not paired with its dense model: %s", name, error)
    return done


def catch_up_attributions(stores: Stores) -> int:
    """Summarise attributions whose records do not hold what a list shows, and answer how many were. One that cannot be
    read stays as it is: lists try to read it, and mark it."""
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
