"""Templates, stylesheet and scripts of the pages; there is no build step."""

from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
"""Jinja2 templates; each is rendered from one frozen context of ``server/<feature>/page.py``."""

GLOSSARY = Path(__file__).parent / "glossary.md"
"""A link to ``docs/glossary.md``, so that the wheel contains it."""

STATIC = Path(__file__).parent / "static"
"""``css/`` and ``js/``, served below ``/static``."""
