"""Templates, stylesheet and scripts of the pages. They are served as they are, without a build step."""

from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
"""Folder of the Jinja2 templates. Each is rendered from one frozen context, defined in ``server/<feature>/page.py``."""

GLOSSARY = Path(__file__).parent / "glossary.md"
"""A link to ``docs/glossary.md``, so that the wheel contains it."""

STATIC = Path(__file__).parent / "static"
"""Folder with ``css/`` and ``js/``, served under ``/static``."""
