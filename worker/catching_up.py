"""Evaluations of an earlier version: what they found is gone through once, so that tables have it and can pair it."""

import json
import logging

from prunescope.jobs.problems import Problem
from prunescope.store.evaluations.outcomes import EVALUATION_JSON, outcomes_of
from prunescope.store.submission import Stores

log = logging.getLogger(__name__)


def catch_up(stores: Stores) -> int:
    """Keep the outcomes and perplexities of evaluations that have none, and answer how many got them. One that cannot
    be read stays as it is: its accuracies are known, its perplexities are in no table, and no difference of it has an
    interval. Windows' losses are not in what an earlier version wrote; such perplexities stay without an interval of
    their difference."""
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
