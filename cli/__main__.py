"""Runs the command `prunescope` for `python -m prunescope.cli`."""

from prunescope.cli.main import app

if __name__ == "__main__":
    app(prog_name="prunescope")
