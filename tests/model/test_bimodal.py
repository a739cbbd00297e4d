"""A posterior with two modes, z and -z: what the diffusion chain is for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import norm
from toys import Square, build_model, freeze_generative, numpy, train

from genovi.model.quadrature import integrate
from genovi.model.vae import LatentModel

NOISE = 0.5
GRID = np.linspace(-6, 6, 4001)


def two_modes(posterior: str, seed: int, device: str) -> tuple[LatentModel, torch.Tensor]:
    """x = z^2 + noise in three columns, z ~ N(0, 1), observed at x = 1."""
    model = build_model(posterior, "normal", d=1, k=3, steps=4, hidden=16, seed=seed, device=device)
    with torch.no_grad():
        model.likelihood.decoder = Square(3)
        model.likelihood.log_noise.fill_(np.log(NOISE))
        model.likelihood.scale.fill_(1.0)
    freeze_generative(model)
    return model, torch.ones(32, 3, dtype=torch.float64, device=device)


def best_gaussian_bound() -> float:
    """The largest E_q[w] that any Gaussian q reaches, by integration: no training can beat it."""

    def loss(parameters: np.ndarray) -> float:
        mean, std = parameters[0], np.exp(parameters[1])
        q = norm.pdf(GRID, mean, std)
        joint = norm.logpdf(GRID) + 3 * norm.logpdf(1.0, GRID**2, NOISE)
        return -float(np.trapezoid(q * (joint - norm.logpdf(GRID, mean, std)), GRID))

    starts = ([1.0, -1.5], [0.0, 0.0], [0.0, -1.0])
    return -min(minimize(loss, start, method="Nelder-Mead").fun for start in starts)


@pytest.mark.parametrize("seed", [1, *(pytest.param(s, marks=pytest.mark.verification) for s in (2, 3))])
def test_the_chain_beats_every_gaussian_and_finds_both_modes(seed: int, device: str) -> None:
    model, x = two_modes("ddvi", seed, device)
    train(model, x, 300, seed, sleep=1.0, lr=1e-2)
    sample = model.importance_sample(x[:1], 4000, 5)
    edge = torch.tensor([6.0], dtype=torch.float64)
    evidence = integrate(model, x[:1], -edge, edge, 4000).log_evidence.item()
    assert best_gaussian_bound() + 0.2 < sample.elbo.item() < evidence
    assert 0.25 < (sample.z > 0).double().mean().item() < 0.75
    outer = np.abs(numpy(sample.z)) > 0.5
    assert outer.mean() > 0.8  # two modes, not one wide hill over both


def test_the_gaussian_reaches_its_own_limit_and_no_more(device: str) -> None:
    model, x = two_modes("gaussian", 1, device)
    train(model, x, 400, 1, sleep=0.0, lr=1e-2)
    reached = model.importance_sample(x[:1], 4000, 5).elbo.item()
    assert reached == pytest.approx(best_gaussian_bound(), abs=0.05)
