from __future__ import annotations

import logging

import pytest
from helpers import simulate_structure

from genovi.genotypes.filtering import apply_qc
from genovi.genotypes.quality import QCConfig
from genovi.preparing import MIN_AXES, fit_components
from genovi.seeding import Seeds


@pytest.mark.parametrize(("fst", "structured"), [(0.0005, False), (0.1, True)])
def test_samples_without_structure_are_warned_of(
    fst: float, structured: bool, caplog: pytest.LogCaptureFixture
) -> None:
    matrix, _ = apply_qc(simulate_structure(0, 2, 30, 300, fst)[0], QCConfig(indep_pairwise=None))
    with caplog.at_level(logging.WARNING, logger="genovi"):
        fitted = fit_components(matrix, None, Seeds(1), incomplete=False)
    assert (fitted.axes.noise.significant > 0) == structured
    assert fitted.x.shape == (60, MIN_AXES)
    assert ("60 samples show no structure" in caplog.text) == (not structured)
