"""The worked example of docs/methods.md really runs."""

import re
from pathlib import Path
from typing import ClassVar, Literal

import pytest
import torch
from pydantic import Field

from prunescope.jobs import vocabulary
from prunescope.jobs.strict import Strict
from prunescope.pruning.methods import registry
from prunescope.pruning.patterns import NofM, Unstructured
from prunescope.pruning.walk import prune
from tests.models import VOCABULARY, tiny

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"


def test_the_method_of_the_page(monkeypatch):
    method, registration, options = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.setattr(registry, "METHODS", {**registry.METHODS})
    room = {"METHODS": registry.METHODS, "Strict": Strict, "ClassVar": ClassVar, "Literal": Literal, "Field": Field}
    for part in (method, registration):
        exec(compile(part, str(PAGE), "exec"), room)
    windows = torch.randint(2, VOCABULARY, (4, 16), generator=torch.Generator().manual_seed(0))
    for pattern in (Unstructured(0.5), NofM(2, 4)):
        reports = prune(tiny("llama"), "contribution", pattern, windows, options={"power": 2.0})
        for matrix in (matrix for report in reports for matrix in report.matrices):
            assert matrix.sparsity == pytest.approx(0.5) and matrix.relative_error > 0
    exec(compile(options, str(PAGE), "exec"), room)
    assert room["Contribution"]().model_dump() == {"name": "contribution", "power": 1.0}


def test_the_page_names_every_method_option_and_default():
    page = PAGE.read_text(encoding="utf-8")
    for name, model in {**vocabulary.METHODS, **vocabulary.ALLOCATIONS}.items():
        assert f"`{name}`" in page or f"--allocation {name}" in page
        for option, field in model.model_fields.items():
            default = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
            assert option == "name" or (f"`{option}`" in page and default in page)
