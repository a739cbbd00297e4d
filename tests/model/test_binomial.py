"""The binomial likelihood: its value, what missing genotypes and subsets of variants do to it, and how it starts."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from helpers import simulate_structure
from scipy.special import expit
from scipy.stats import binom
from torch import Tensor
from toys import DENSE, POSTERIORS, jitter, stream

from genovi.errors import ConfigError
from genovi.model import rows as rows_module
from genovi.model.binomial import BinomialLikelihood
from genovi.model.config import ModelConfig
from genovi.model.densities import Noise
from genovi.model.quadrature import exact, integrate
from genovi.model.rows import GenotypeRows, Genotypes, Sites, components
from genovi.model.vae import LatentModel
from genovi.training.batches import Batches

N, M, K = 12, 9, 4


def dosages_of(seed: int, missing: float, n: int = N, m: int = M) -> np.ndarray:
    """Variants x samples."""
    rng = np.random.default_rng(seed)
    drawn = rng.binomial(2, rng.uniform(0.2, 0.8, m)[:, None], (m, n)).astype(np.int8)
    drawn[rng.random(drawn.shape) < missing] = -1
    return drawn


def rows_of(dosages: np.ndarray, seed: int = 1, k: int = K) -> GenotypeRows:
    m, n = dosages.shape

    def read(variants: slice | np.ndarray, samples: np.ndarray) -> np.ndarray:
        return dosages[variants][:, samples]

    x = torch.randn(n, k, generator=stream(seed), dtype=torch.float64)
    return GenotypeRows.of(x, Genotypes(read, m))


def sites_of(m: int = M, k: int = K) -> Sites:
    return Sites(torch.linspace(0.4, 1.6, m), torch.randn(m, k, generator=stream(5)) / 3)


def build(posterior: str = "gaussian", m: int = M, k: int = K, size: float = 0.3) -> LatentModel:
    config = ModelConfig(posterior=posterior, steps=2, components=3, hidden=8, likelihood="binomial")
    model = LatentModel(config, torch.linspace(2.0, 1.0, k), stream(1), sites=sites_of(m, k))
    jitter(model, 2, size)
    return model.double()


def decoder(model: LatentModel) -> BinomialLikelihood:
    assert isinstance(model.likelihood, BinomialLikelihood)
    return model.likelihood


def oracle(model: LatentModel, dosages: np.ndarray, z: Tensor) -> np.ndarray:
    """Sum of scipy's log-probabilities over observed genotypes, with the decoder's own arithmetic redone in NumPy."""
    likelihood = decoder(model)
    h = likelihood.decoder(z).detach().numpy()
    slope, offset = (part.detach().numpy() for part in likelihood.parameters_of(slice(None)))
    frequency = expit(h @ slope.T + offset)
    seen = dosages.T >= 0
    values = binom.logpmf(np.where(seen, dosages.T, 0), 2, frequency)
    return np.where(seen, values, 0.0).sum(-1)


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("block", [2**23, N * 5 * 2])
def test_the_density_is_that_of_scipy(missing: float, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_VALUES_AT_ONCE", block)  # all variants at once, and two by two
    model, dosages = build(), dosages_of(3, missing)
    z = torch.randn(5, N, 2, generator=stream(4), dtype=torch.float64)
    found = model.likelihood.log_density(rows_of(dosages), z).detach().numpy()
    assert found.shape == (5, N)
    np.testing.assert_allclose(found, oracle(model, dosages, z), rtol=1e-9)


def test_a_subset_of_variants_is_an_unbiased_estimate() -> None:
    model, rows = build(), rows_of(dosages_of(3, 0.2))
    z = torch.randn(N, 2, generator=stream(4), dtype=torch.float64)
    whole = model.likelihood.log_density(rows, z)
    parts = [model.likelihood.log_density(rows.at(np.array(s)), z) for s in combinations(range(M), 3)]
    torch.testing.assert_close(torch.stack(parts).mean(0), whole)
    assert (torch.stack(parts).std(0) > 0.1).all()  # they do differ


def test_batches_draw_every_variant_equally_often() -> None:
    batches = Batches(rows_of(dosages_of(3, 0.0)), 4, stream(1), 3)
    count = np.zeros(M)
    for _ in range(200):
        for batch in batches.epoch():
            assert isinstance(batch, GenotypeRows) and batch.chosen is not None
            assert (np.diff(batch.chosen) > 0).all() and len(batch.chosen) == 3
            count[batch.chosen] += 1
    np.testing.assert_allclose(count / 600, 1 / 3, atol=4 * np.sqrt(2 / 9 / 600))
    (first, *_) = Batches(rows_of(dosages_of(3, 0.0)), 4, stream(1), M).epoch()
    assert isinstance(first, GenotypeRows) and first.chosen is None


def test_it_starts_at_the_allele_frequencies_of_the_training_samples_wherever_z_is() -> None:
    dosages = dosages_of(6, 0.2)
    dosages[0] = 0  # never seen: its frequency must not be 0
    likelihood = decoder(build(size=0.0)).float()
    rows = rows_of(dosages)
    likelihood.start(replace(rows, x=rows.x.float()))
    seen = dosages >= 0
    expected = (np.where(seen, dosages, 0).sum(1) + 0.5) / (2 * seen.sum(1) + 1)
    z = 3 * torch.randn(7, 2, generator=stream(4))
    np.testing.assert_allclose(likelihood.frequencies(z).detach(), np.tile(expected, (7, 1)), rtol=1e-5)


def test_slopes_start_along_the_components() -> None:
    """A first step along h then is one that the genotypes follow."""
    matrix, populations = simulate_structure(2, 2, 40, 60, 0.3)
    which = torch.from_numpy((populations == "pop1").astype(np.float32)) * 2 - 1
    noise = torch.randn(80, 1, generator=stream(3))
    rows = GenotypeRows.of(torch.cat([which[:, None], noise], dim=1), Genotypes(matrix.part, 60))
    likelihood = BinomialLikelihood(2, 8, torch.ones(2), sites_of(60, 2), stream(1))
    likelihood.start(rows)
    slope = likelihood.parameters_of(slice(None))[0].detach().numpy()
    dosages = matrix.dosages()
    difference = dosages[:, populations == "pop1"].mean(1) - dosages[:, populations == "pop2"].mean(1)
    assert np.corrcoef(slope[:, 0], difference)[0, 1] > 0.9
    assert np.abs(slope[:, 1]).mean() < 0.5 * np.abs(slope[:, 0]).mean()


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_many_points_at_once_have_the_same_density(missing: float) -> None:
    model, rows = build(), rows_of(dosages_of(3, missing))
    z = torch.randn(7, 2, generator=stream(4), dtype=torch.float64)
    expected = model.likelihood.log_density(rows, z[:, None].expand(-1, N, -1)).T
    torch.testing.assert_close(model.likelihood.pairs(z).log_density(rows, None), expected)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_quadrature_finds_what_a_plain_sum_does(missing: float) -> None:
    model, rows = build(), rows_of(dosages_of(3, missing))
    excess = None if missing == 0 else torch.eye(K, dtype=torch.float64).expand(N, K, K)
    found = exact(model, rows, model.locate(rows)[None], excess)
    assert found.resolved.all()
    reach = torch.full((2,), 12.0)
    summed = integrate(model, rows, -reach, reach, 240, excess)
    np.testing.assert_allclose(found.log_evidence, summed.log_evidence, atol=1e-3)
    np.testing.assert_allclose(found.mean, summed.mean, atol=1e-3)


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_every_posterior_works_with_it(posterior: str) -> None:
    model, rows = build(posterior), rows_of(dosages_of(3, 0.2))
    assert model.locate(rows).shape == (N, 2)
    if posterior not in DENSE:
        terms, z = model.terms(rows, Noise(stream(3)))
        assert torch.isfinite(terms.reconstruction).all() and z.shape == (N, 2)
        return
    excess = torch.eye(K, dtype=torch.float64).expand(N, K, K)
    sample = model.importance_sample(rows, 64, 3, excess, shared=False)
    evidence = exact(model, rows, sample.z, excess).log_evidence
    assert sample.elbo.mean() < sample.iwae.mean() < evidence.mean() + 0.3
    reached = model.posterior_sample(rows, 256, 3, excess)
    np.testing.assert_allclose(reached.iwae, evidence, atol=0.15)
    if model.config.sleeps:
        assert torch.isfinite(model.sleep_loss(16, Noise(stream(5))))


def test_the_posterior_widens_as_sites_vanish() -> None:
    """To the prior, where nothing is left."""
    model, dosages = build(m=60, size=0.5), dosages_of(3, 0.0, m=60)
    spread = []
    for left in (60, 20, 5, 0):
        masked = dosages.copy()
        masked[left:] = -1
        excess = 100.0 * torch.eye(K, dtype=torch.float64).expand(N, K, K)
        sample = model.posterior_sample(rows_of(masked), 512, 3, excess)
        spread.append(sample.moments()[1].diagonal(dim1=-2, dim2=-1).sum(-1).mean().item())
    assert spread == sorted(spread) and spread[3] > 2 * spread[0]
    prior = model.prior.sample(4000, Noise(stream(3))).var(0).sum().item()
    assert spread[3] == pytest.approx(prior, rel=0.15)


def test_dreams_are_genotypes_on_the_axes() -> None:
    model = build()
    z = torch.randn(1, 2, generator=stream(4), dtype=torch.float64).expand(20000, -1)
    frequency = decoder(model).frequencies(z[:1])[0].detach().numpy()
    drawn = model.likelihood.sample(z, Noise(stream(5))).detach().numpy()
    projection, centre = decoder(model).projection.numpy(), decoder(model).centre.numpy()
    mean = (2 * frequency - centre) @ projection
    covariance = projection.T @ (2 * frequency * (1 - frequency) * projection.T).T
    np.testing.assert_allclose(drawn.mean(0), mean, atol=4 * np.sqrt(covariance.max() / 20000))
    np.testing.assert_allclose(model.likelihood.mean(z[:1])[0].detach(), mean, rtol=1e-9)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.05 * covariance.max())


def test_two_draws_from_a_frequency() -> None:
    frequency = torch.tensor([0.0, 0.3, 0.9, 1.0]).expand(20000, -1)
    drawn = Noise(stream(2)).copies(frequency).numpy()
    for j, p in enumerate((0.0, 0.3, 0.9, 1.0)):
        shares = np.bincount(drawn[:, j].astype(int), minlength=3) / 20000
        np.testing.assert_allclose(shares, binom.pmf([0, 1, 2], 2, p), atol=0.015)


def test_rows_are_cut_like_their_components() -> None:
    rows = rows_of(dosages_of(3, 0.1))
    mask = torch.arange(N) % 3 == 1
    for part in (rows[mask], rows[torch.tensor([1, 4, 7, 10])]):
        torch.testing.assert_close(components(part), rows.x[mask])
        (_, dosages, _), (_, whole, _) = next(part.blocks(1)), next(rows.blocks(1))
        torch.testing.assert_close(dosages, whole[mask])
    assert len(rows[2:5]) == 3


def test_components_alone_are_refused() -> None:
    with pytest.raises(ConfigError, match="needs genotypes"):
        build().importance_sample(torch.zeros(3, K, dtype=torch.float64), 4, 1)
    with pytest.raises(ConfigError, match="needs its variants"):
        LatentModel(ModelConfig(likelihood="binomial", components=3), torch.ones(K), stream(1))
    with pytest.raises(ConfigError, match="choose one of gaussian, binomial"):
        ModelConfig(likelihood="poisson")


def test_packed_genotypes_are_read_in_parts() -> None:
    matrix, _ = simulate_structure(2, 2, 9, 40, 0.2, 0.1)
    dosages, samples = matrix.dosages(), np.array([17, 0, 4, 4, 9])
    np.testing.assert_array_equal(matrix.part(slice(5, 30), samples), dosages[5:30][:, samples])
    chosen = np.array([3, 8, 39])
    np.testing.assert_array_equal(matrix.part(chosen, samples), dosages[chosen][:, samples])


def test_noise_in_components_alone_would_contradict_the_genotypes_so_there_is_none() -> None:
    rows = rows_of(dosages_of(1, 0.1))
    assert build().likelihood.noisier(rows, Noise(stream(1))) is rows
