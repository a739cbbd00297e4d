"""Ranks: three processes make of the same data what one makes, and say so in one voice when one fails."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers import REPO
from hypothesis import given
from hypothesis import strategies as st
from ranked import MODELS, seen_by

from genovi.errors import ConfigError
from genovi.model.build import build_prior
from genovi.model.config import ModelConfig
from genovi.model.densities import Noise
from genovi.ranks import ALONE, Place, Ranks

GOOD = {"RANK": "1", "WORLD_SIZE": "3", "LOCAL_RANK": "0", "MASTER_ADDR": "node1", "MASTER_PORT": "4000"}
RTOL = 1e-3  # of the largest number: three epochs from other roundings


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, np.ndarray]]:
    """What each of three ranks has seen."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        shared = {"WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    environment = {**os.environ, **shared, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO / "tests")}
    if sys.platform == "linux":
        environment["GLOO_SOCKET_IFNAME"] = "lo"
    processes = [
        subprocess.Popen(
            [sys.executable, str(REPO / "tests" / "ranked.py"), str(folder)],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(3)
    ]
    try:
        said = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0, 0], said
    return [dict(np.load(folder / f"rank-{rank}.npz")) for rank in range(3)]


@pytest.fixture(scope="module")
def alone() -> dict[str, np.ndarray]:
    from genovi.structure import pca

    before = pca.EXACT_SAMPLES
    try:
        return seen_by(ALONE)
    finally:
        pca.EXACT_SAMPLES = before


def assert_close(got: np.ndarray, expected: np.ndarray, share: float) -> None:
    scale = np.nanmax(np.abs(expected))
    np.testing.assert_allclose(got, expected, rtol=0, atol=share * scale)


@pytest.mark.parametrize("kind", ["exact", "randomised"])
def test_principal_components_are_those_of_one_process(
    kind: str, together: list[dict[str, np.ndarray]], alone: dict[str, np.ndarray]
) -> None:
    for what in ("singular values", "loadings", "scores", "noise"):
        name = f"{kind} {what}"
        assert_close(together[0][name], alone[name], 1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_training_is_that_of_one_process(
    name: str, together: list[dict[str, np.ndarray]], alone: dict[str, np.ndarray]
) -> None:
    assert_close(together[0][name], alone[name], RTOL)


def test_all_ranks_hold_the_same_bit_for_bit(together: list[dict[str, np.ndarray]]) -> None:
    for other in together[1:]:
        assert other.keys() == together[0].keys()
        for name, numbers in together[0].items():
            np.testing.assert_array_equal(other[name], numbers)


def test_genotypes_reach_all_ranks(together: list[dict[str, np.ndarray]], alone: dict[str, np.ndarray]) -> None:
    for name in ("dealt", "dealt whole"):
        np.testing.assert_array_equal(together[2][name], alone[name])


@given(n=st.integers(0, 1000), size=st.integers(1, 20))
def test_rows_of_all_ranks_are_all_rows(n: int, size: int) -> None:
    parts = [range(n)[Ranks(rank, size).rows(n)] for rank in range(size)]
    assert [row for part in parts for row in part] == list(range(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(n=st.integers(3, 40), cut=st.integers(1, 39), shared=st.booleans())
def test_noise_of_parts_is_that_of_the_whole(n: int, cut: int, shared: bool) -> None:
    cut = min(cut, n)

    def drawn(rows: slice) -> list[torch.Tensor]:
        noise = Noise(torch.Generator().manual_seed(3), shared).among(n, rows)
        mine = rows.stop - rows.start
        return [
            noise.like(torch.zeros(2, mine, 3)),
            noise.uniform(mine, torch.device("cpu"))[None, :, None],
            noise.copies(torch.full((mine, 2), 0.3))[None],
        ]

    parts = zip(drawn(slice(0, cut)), drawn(slice(cut, n)), drawn(slice(0, n)), strict=True)
    for first, second, whole in parts:
        assert torch.equal(torch.cat([first, second], dim=1), whole)


@pytest.mark.parametrize("prior", ["mixture", "normal", "mixture-free", "flow", "pinwheel", "swissroll", "square"])
def test_dreams_of_parts_are_those_of_the_whole(prior: str) -> None:
    built = build_prior(4, ModelConfig(prior=prior, components=5), torch.Generator().manual_seed(1))

    def drawn(rows: slice) -> torch.Tensor:
        noise = Noise(torch.Generator().manual_seed(3)).among(9, rows)
        return built.sample(rows.stop - rows.start, noise)

    parts = torch.cat([drawn(slice(0, 4)), drawn(slice(4, 9))])
    torch.testing.assert_close(parts, drawn(slice(0, 9)))


def test_who_is_alone_and_who_is_not() -> None:
    assert Place.of({}) is None
    assert Place.of({"RANK": "0", "WORLD_SIZE": "1"}) is None
    assert Place.of({"WORLD_SIZE": "4"}) is None  # some machines set it for reasons of their own
    assert Place.of(GOOD) == Place(1, 3, 0, False)


@pytest.mark.parametrize(
    "wrong", [{"RANK": "3"}, {"RANK": "x"}, {"WORLD_SIZE": "two"}, {"MASTER_PORT": "0"}, {"MASTER_ADDR": None}], ids=str
)
def test_a_launcher_that_makes_no_sense_is_refused(wrong: dict[str, str | None]) -> None:
    given = {name: value for name, value in {**GOOD, **wrong}.items() if value is not None}
    with pytest.raises(ConfigError, match="RANK, WORLD_SIZE"):
        Place.of(given)
