"""Script: reads an SVG from standard input and writes it as PNG to standard output. `raster.py` runs it."""

import resource
import sys

import resvg_py

MAX_ADDRESS_SPACE = 2 * 1024**3
"""Bytes, including fonts and libraries."""
MAX_CPU_SECONDS = 30


def main() -> None:
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
