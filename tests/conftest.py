"""What holds for all tests: which ones the quick run leaves out, and that an example's time tells nothing.

`pytest` runs the quick tests, `pytest -m ""` all of them. A test that fits (mark `keras`), and everything in
`integration`, counts as slow unless it has the mark `quick`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pillow_inr.runtime import pool

# These machines are shared: how long an example takes says nothing.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")

INTEGRATION = Path(__file__).parent / "integration"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long, before the option -m is applied."""
    for item in items:
        takes_long = item.get_closest_marker("keras") or INTEGRATION in item.path.parents
        if takes_long and not item.get_closest_marker("quick"):
            item.add_marker("slow")


@pytest.fixture(autouse=True, scope="session")
def trainers_stay() -> Iterator[None]:
    """Keep all trainers of the run: more kinds of images take turns here than in most programs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "MEGABYTES_MAX", 1000)
        yield
