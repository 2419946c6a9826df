"""Migrates results of evaluations by an earlier version into the database, so that tables show and pair them."""

import json
import logging

from prunescope.jobs.problems import Problem
from prunescope.store.evaluations.outcomes import EVALUATION_JSON, outcomes_of
from prunescope.store.submission import Stores

log = logging.getLogger(__name__)


def catch_up(stores: Stores) -> int:
    """Store the outcomes and perplexities of evaluations that have none in the database, and return how many were
    added. An evaluation that cannot be read is skipped: its accuracies are known, but its perplexities are in no table
    and its differences have no interval. Earlier versions did not store the losses of windows, so differences of such
    perplexities have no interval."""
    done = 0
    measured = stores.measurements
    for name in dict.fromkeys([*measured.without_outcomes(), *measured.without_perplexities()]):
        try:
            found = outcomes_of(json.loads(stores.artefacts.read("evaluation", name, EVALUATION_JSON)))
        except (Problem, OSError, ValueError, KeyError, TypeError) as error:
            log.warning("evaluation %s cannot be read, and is not paired with its dense model: %s", name, error)
            continue
        record = stores.results.get("evaluation", name)
        stores.results.add("evaluation", name, job=record.job, spec=record.spec, summary=record.summary, outcomes=found)
        done += 1
    return done
