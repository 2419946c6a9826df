"""How the command ends: 0 done, 2 bad input (one line that says what and how to mend it), 1 anything else."""

DONE, FAILED, BAD_INPUT = 0, 1, 2


class Failure(Exception):
    """Something that went wrong and is no fault of what was typed: exit code 1, the text on stderr, no traceback."""


class Refusal(Exception):
    """Something that the command itself refuses: exit code 2, one line on stderr."""


def one_line(text: str) -> str:
    """`text` without its line breaks."""
    return " ".join(text.split())
