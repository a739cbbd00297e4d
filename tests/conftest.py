"""Options, markers and profiles of the whole suite."""

from __future__ import annotations

import os

import hypothesis
import pytest

os.environ.setdefault("MPLBACKEND", "Agg")

# No deadlines: a busy machine is no fault.
_untimed = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("default", **_untimed)
hypothesis.settings.register_profile("ci", **_untimed, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", default="cpu", help="torch device that model tests run on (default: cpu)")
    parser.addoption("--verification", action="store_true", help="run the slow statistical tests, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("--verification") or "verification" in config.getoption("markexpr", "")
    for item in items:
        if item.get_closest_marker("verification") and not wanted:
            item.add_marker(pytest.mark.skip(reason="slow; runs with --verification or -m verification"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    """The device of ``--device``."""
    return str(request.config.getoption("--device"))
