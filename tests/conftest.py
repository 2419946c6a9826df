"""What every test may use: the reference data that lies beside the checkout, where it does."""

from pathlib import Path

import pytest
from hypothesis import settings

# A machine that others use as well is no reason to fail.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")

pytest_plugins = ["tests.services"]

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a slow test come first, so that no process is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference masks, data sets and models for tests; not part of the project."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder of reference data is not beside this checkout")
    return folder
