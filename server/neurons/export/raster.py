"""Converts SVG to PNG in a child process: the rasteriser aborts its process if memory is short."""

import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from prunescope.jobs.problems import RETRY_SECONDS, unavailable

CHILD = Path(__file__).parent / "raster_child.py"
MAX_SECONDS = 30
MAX_KEPT = 1_000_000
"""Maximum number of characters of an SVG whose PNG is kept."""
PNG = b"\x89PNG\r\n\x1a\n"


@lru_cache(maxsize=32)
def _kept(svg: str) -> bytes:
    return png_of(svg)


def kept_png_of(svg: str) -> bytes:
    """`png_of`, with the last small pictures kept: pages name theirs for previews (og:image), which many fetch."""
    return _kept(svg) if len(svg) <= MAX_KEPT else png_of(svg)


def png_of(svg: str, child: Path = CHILD) -> bytes:
    """Draw an SVG as PNG. Problem 503 if the process ``child`` fails or takes more than MAX_SECONDS."""
    # Isolated mode (-I): the child imports nothing of this package, and starts in a few hundredths of a second.
    command = [sys.executable, "-I", str(child)]
    try:
        done = subprocess.run(command, input=svg.encode(), capture_output=True, timeout=MAX_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        why = f"took more than {MAX_SECONDS} seconds"
    except OSError as error:  # no memory or no process left
        why = f"could not be started ({error.strerror})"
    else:
        if done.returncode == 0 and done.stdout.startswith(PNG):
            return done.stdout
        why = f"ended with code {done.returncode}"
    detail = f"the process that draws the picture {why}; take heatmap.svg, or try again in {RETRY_SECONDS} seconds"
    raise unavailable("not-drawn", "The picture could not be drawn", detail, RETRY_SECONDS)
