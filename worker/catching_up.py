"""Evaluations of an earlier version: their examples are gone through once, so that tables can pair them."""

import json
import logging

from jobs.problems import Problem
from store.outcomes import EVALUATION_JSON, outcomes_of
from store.submission import Stores

log = logging.getLogger(__name__)


def catch_up(stores: Stores) -> int:
    """Keep the outcomes of evaluations that have none, and answer how many got them. One that cannot be read stays as
    it is: its accuracies are known, and no difference of it has an interval."""
    done = 0
    for name in stores.measurements.without_outcomes():
        try:
            found = outcomes_of(json.loads(stores.artefacts.read("evaluation", name, EVALUATION_JSON)))
        except (Problem, OSError, ValueError, KeyError, TypeError) as error:
            log.warning("evaluation %s cannot be read, and is not paired with its dense model: %s", name, error)
            continue
        record = stores.results.get("evaluation", name)
        stores.results.add("evaluation", name, job=record.job, spec=record.spec, summary=record.summary, outcomes=found)
        done += 1
    return done
