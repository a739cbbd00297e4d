"""A linear decoder has a posterior in closed form: trained posteriors must find it."""

from __future__ import annotations

import numpy as np
from reference import LinearGaussian
from toys import build_model, data_from, each_posterior_of, freeze_generative, linear_decoder, numpy, train

from genovi.model.vae import LatentModel

# orthogonal columns, so that the posterior under a normal prior has no correlation that a plain Gaussian would miss
ORTHOGONAL = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 2)))[0] * [1.2, 0.6]
STEPS = 300


def linear_model(posterior: str, prior: str, device: str) -> tuple[LatentModel, LinearGaussian]:
    model = build_model(posterior, prior, d=2, k=4, components=4, seed=4, device=device)
    oracle = linear_decoder(model, seed=3, matrix=ORTHOGONAL)
    freeze_generative(model)
    return model, oracle


@each_posterior_of(["ddvi", "gaussian", "iaf", "hiaf"])
def test_the_trained_posterior_is_the_closed_form(posterior: str, device: str) -> None:
    model, oracle = linear_model(posterior, "normal", device)
    x = data_from(model, 64, 1)
    train(model, x, STEPS, seed=1, sleep=0.3, lr=1e-2)
    sample = model.importance_sample(x, 2000, 5)
    gap = oracle.log_evidence(numpy(x)) - numpy(sample.elbo)
    assert gap.mean() < 0.05
    moments = [oracle.posterior(row).moments() for row in numpy(x)]
    std = np.array([np.sqrt(np.diag(covariance)) for _, covariance in moments])
    away = (numpy(sample.z.mean(dim=0)) - [mean for mean, _ in moments]) / std
    assert np.sqrt(np.square(away).mean()) < 0.15
    ratio = numpy(sample.z.std(dim=0)) / std
    assert ratio.min() > 0.75 and ratio.max() < 1.3
    assert 0.93 < np.median(ratio) < 1.07
    for axis in range(2):  # not only the mean of means: the posterior follows x
        means = np.array([mean[axis] for mean, _ in moments])
        assert np.corrcoef(numpy(sample.z.mean(dim=0))[:, axis], means)[0, 1] > 0.98


def test_the_chain_finds_mixture_posteriors_better_than_a_gaussian(device: str) -> None:
    gaps, away = {}, {}
    for posterior in ("gaussian", "ddvi"):
        model, oracle = linear_model(posterior, "mixture", device)
        x = data_from(model, 64, 1)
        train(model, x, STEPS, seed=1, sleep={"gaussian": 0.3, "ddvi": 1.0}[posterior], lr=1e-2)  # good for each
        sample = model.importance_sample(x, 2000, 5)
        gaps[posterior] = (oracle.log_evidence(numpy(x)) - numpy(sample.elbo)).mean()
        moments = [oracle.posterior(row).moments() for row in numpy(x)]
        std = np.array([np.sqrt(np.diag(covariance)) for _, covariance in moments])
        apart = (numpy(sample.z.mean(dim=0)) - [mean for mean, _ in moments]) / std
        away[posterior] = np.sqrt(np.square(apart).mean())
    assert gaps["ddvi"] < 0.7 * gaps["gaussian"]
    assert away["ddvi"] < 0.25
