"""Distinguishes errors that require another request from errors after which the same job can resume."""

from prunescope.jobs.failures import problem_of
from prunescope.jobs.problems import Problem
from prunescope.lm.errors import BadInput


def needs_new_request(error: BaseException) -> bool:
    """Whether the user has to change the request, so that the finished layers are of no use. False for a full disk, too
    little memory and a file error, after which the same request can resume."""
    if problem_of(error) is not None:
        return False
    return isinstance(error, BadInput) or (isinstance(error, Problem) and error.status < 500)
