"""The choice of device."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from genovi.errors import ConfigError, ResourceError
from genovi.training.device import choose_device, set_threads


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A machine that has the devices of ``request.param`` beside the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in request.param)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in request.param)


@pytest.fixture
def threads() -> Iterator[int]:
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("machine", "expected"),
    [((), "cpu"), (("cuda",), "cuda"), (("mps",), "mps"), (("cuda", "mps"), "cuda")],
    indirect=["machine"],
)
def test_auto_takes_the_fastest_that_is_there(machine: None, expected: str) -> None:
    assert choose_device("auto") == torch.device(expected)


@pytest.mark.parametrize("machine", [("cuda",)], indirect=True)
def test_cpu_is_cpu_even_where_there_is_a_gpu(machine: None) -> None:
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("machine", [()], indirect=True)
@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_an_absent_device_is_an_error_that_lists_what_is_there(machine: None, name: str) -> None:
    with pytest.raises(ResourceError, match=f"--device {name}.*this machine offers cpu") as caught:
        choose_device(name)
    assert caught.value.exit_code == 5


def test_an_unknown_name_is_a_usage_error() -> None:
    with pytest.raises(ConfigError, match="tpu"):
        choose_device("tpu")


def test_threads_are_set_when_given_and_left_alone_otherwise(threads: int) -> None:
    assert set_threads(None) == threads
    assert set_threads(threads + 1) == torch.get_num_threads() == threads + 1
