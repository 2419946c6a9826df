"""Draws the SVG of its standard input as a PNG on its standard output; run by `server/neurons/export/raster.py`."""

import resource
import sys

import resvg_py

MAX_ADDRESS_SPACE = 2 * 1024**3
"""Bytes, fonts and libraries among them."""
MAX_CPU_SECONDS = 30


def main() -> None:
    """A pixel of the picture is one of the SVG."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE, MAX_ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    picture = resvg_py.svg_to_bytes(
        svg_string=sys.stdin.buffer.read().decode(),
        monospace_family="DejaVu Sans Mono",
        sans_serif_family="DejaVu Sans",
    )
    sys.stdout.buffer.write(bytes(picture))


if __name__ == "__main__":
    main()
