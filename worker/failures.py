"""Distinguishes errors that require another request from those after which the same job can resume."""

from prunescope.jobs.failures import problem_of
from prunescope.jobs.problems import Problem
from prunescope.lm.errors import BadInput


def mendable(error: BaseException) -> bool:
    """Whether the user has to change the request, so that finished layers are of no use. False for bad input caused by
    a full disk or too little memory."""
    if problem_of(error) is not None:
        return False
    return isinstance(error, BadInput) or (isinstance(error, Problem) and error.status < 500)
