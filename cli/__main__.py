"""`python -m cli` is `prunescope`."""

from prunescope.cli.main import app

if __name__ == "__main__":
    app(prog_name="prunescope")
