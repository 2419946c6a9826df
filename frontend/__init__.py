"""Templates, stylesheet and scripts of the pages; there is no build step."""

from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
"""Jinja2 templates; each is rendered from one frozen context of ``server/<feature>/page.py``."""

STATIC = Path(__file__).parent / "static"
"""``css/`` and ``js/``, served below ``/static``."""
