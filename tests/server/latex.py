"""LaTeX tables, compiled as a paper would have them."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest


def compile_latex(tables: Mapping[str, bytes], folder: Path) -> None:
    """Compile a document of these tables with no package but booktabs; skips the test where there is no pdflatex."""
    if (
        shutil.which("pdflatex") is None
        or not subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True, check=False).stdout
    ):
        pytest.skip("no pdflatex with booktabs here; other tests check the form")
    body = []
    for name, table in tables.items():
        (folder / f"{name}.tex").write_bytes(table)
        body.append(rf"\input{{{name}}}")
    main = [r"\documentclass{article}", r"\usepackage{booktabs}", r"\begin{document}", *body, r"\end{document}"]
    (folder / "main.tex").write_text("\n".join(main), encoding="utf-8")
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "main"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    assert run.returncode == 0, run.stdout[-2000:]
    assert (folder / "main.pdf").stat().st_size > 0
    assert "Missing character" not in (folder / "main.log").read_text(errors="replace")
