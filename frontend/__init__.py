"""Templates, stylesheet and scripts of the pages. They are served as they are, without a build step."""

from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
"""Folder of the Jinja2 templates. Each is rendered from one frozen context, defined in ``server/<feature>/page.py``."""

DOCS = Path(__file__).parent.parent / "docs"
"""Folder of the documents that the application shows as its guide; in the wheel it is ``prunescope/docs``."""

GLOSSARY = DOCS / "glossary.md"

STATIC = Path(__file__).parent / "static"
"""Folder with ``css/`` and ``js/``, served under ``/static``."""
