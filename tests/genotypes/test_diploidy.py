"""Heterozygotes that are missing: structured, inbred and haploid samples."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from helpers import matrix_of, simulate_structure

from genovi.errors import MismatchError
from genovi.genotypes.diploidy import check_diploid, heterozygote_deficit


def inbred(f: float, seed: int = 1) -> np.ndarray:
    """Genotypes whose two alleles are one and the same with probability ``f``."""
    rng = np.random.default_rng(seed)
    frequency = rng.uniform(0.2, 0.8, 300)[:, None]
    one, other = (rng.random((300, 80)) < frequency for _ in range(2))
    return (one.astype(np.int8) + np.where(rng.random((300, 80)) < f, one, other)).astype(np.int8)


@pytest.mark.parametrize("f", [0.0, 0.4, 1.0])
def test_the_deficit_is_the_inbreeding_that_was_simulated(f: float) -> None:
    dosages = inbred(f)
    dosages[np.random.default_rng(2).random(dosages.shape) < 0.2] = -1
    assert heterozygote_deficit(matrix_of(dosages)) == pytest.approx(f, abs=0.03)


def test_haploid_calls_are_refused_and_inbred_ones_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(MismatchError, match="of diploids"):
        check_diploid(matrix_of(inbred(1.0)))
    with caplog.at_level(logging.WARNING, logger="genovi"):
        check_diploid(matrix_of(inbred(0.7)))
        assert "heterozygotes are missing" in caplog.text
        caplog.clear()
        check_diploid(simulate_structure(3, 4, 30, 200, 0.15, 0.05)[0])
    assert caplog.text == ""
