"""What ended a stage, told apart: what a user has to change, and what only keeps the work from going on now."""

from prunescope.jobs.failures import problem_of
from prunescope.jobs.problems import Problem
from prunescope.lm.errors import BadInput


def mendable(error: BaseException) -> bool:
    """Whether what was asked for has to change, so that nobody goes on from what is done. Bad input that a full disk or
    too little memory is behind does not count."""
    if problem_of(error) is not None:
        return False
    return isinstance(error, BadInput) or (isinstance(error, Problem) and error.status < 500)
