"""Quadrature against models with a closed form: a linear decoder, and a normal or a mixture prior."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import build_model, data_from, linear_decoder, numpy

from genovi.errors import ConfigError
from genovi.model.config import PRIORS
from genovi.model.quadrature import integrate


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("d", [1, 2])
def test_evidence_mean_and_deviation_are_those_of_the_closed_form(prior: str, d: int, device: str) -> None:
    model = build_model("gaussian", prior, d=d, k=3, components=4, device=device)
    oracle = linear_decoder(model, seed=3)
    x = data_from(model, 20, 1)  # more rows than the quadrature takes at once
    lower, upper = (torch.as_tensor(corner) for corner in oracle.prior.box(9))
    found = integrate(model, x, lower, upper, 400 if d == 2 else 4000)
    np.testing.assert_allclose(numpy(found.log_evidence), oracle.log_evidence(numpy(x)), atol=1e-6)
    moments = [oracle.posterior(row).moments() for row in numpy(x)]
    np.testing.assert_allclose(numpy(found.mean), [mean for mean, _ in moments], atol=1e-6)
    np.testing.assert_allclose(numpy(found.std), [np.sqrt(np.diag(c)) for _, c in moments], atol=1e-6)


def test_more_than_two_dimensions_are_refused() -> None:
    model = build_model(d=3)
    corner = torch.ones(3, dtype=torch.float64)
    with pytest.raises(ConfigError, match="at most two dimensions"):
        integrate(model, data_from(model, 2, 1), -corner, corner)
