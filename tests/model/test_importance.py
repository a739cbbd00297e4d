"""Second round of importance sampling: near exact for Gaussians, and safe where a Gaussian does not suit."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from genovi.model.importance import ImportanceSample, refine

PRECISION = torch.tensor([[4.0, 1.5], [1.5, 1.0]])
MEAN = torch.tensor([0.5, -1.0])


def gaussian(z: Tensor) -> Tensor:
    """log of 7 N(z; MEAN, PRECISION^-1), shape (K, n)."""
    away = z - MEAN
    square = torch.einsum("kni,ij,knj->kn", away, PRECISION, away)
    return math.log(7) - 0.5 * square - math.log(2 * math.pi) + 0.5 * torch.logdet(PRECISION)


def draws_around(mean: Tensor, std: float, k: int, n: int, seed: int = 1) -> ImportanceSample:
    noise = torch.randn(k, n, 2, generator=torch.Generator().manual_seed(seed))
    log_density = -0.5 * (noise**2).sum(-1) - math.log(2 * math.pi) - 2 * math.log(std)
    z = mean + std * noise
    return ImportanceSample(z, gaussian(z) - log_density)


def test_a_gaussian_target_is_met_almost_exactly() -> None:
    found = refine(draws_around(MEAN + 0.5, 2.0, 256, 5), gaussian, 3)
    mean, covariance = found.moments()
    torch.testing.assert_close(mean, MEAN.expand(5, 2), atol=0.02, rtol=0)
    torch.testing.assert_close(covariance, torch.linalg.inv(PRECISION).expand(5, 2, 2), atol=0.02, rtol=0.02)
    torch.testing.assert_close(found.iwae, torch.full((5,), math.log(7)), atol=0.02, rtol=0)


def test_it_is_far_closer_than_the_first_draws() -> None:
    first = draws_around(MEAN + 0.5, 2.0, 256, 50)

    def error(sample: ImportanceSample) -> float:
        return (sample.moments()[0] - MEAN).square().mean().sqrt().item()

    assert error(refine(first, gaussian, 3)) < 0.1 * error(first)


def test_a_target_with_two_peaks_keeps_both() -> None:
    apart = torch.tensor([1.5, 0.0])

    def two(z: Tensor) -> Tensor:
        peaks = torch.stack([-0.5 * ((z - at) / 0.3).square().sum(-1) for at in (apart, -apart)])
        return torch.logsumexp(peaks + torch.tensor([0.7, 0.3]).log()[:, None, None], 0)

    noise = torch.randn(512, 4, 2, generator=torch.Generator().manual_seed(2))
    first = ImportanceSample(1.5 * noise, two(1.5 * noise) + 0.5 * (noise**2).sum(-1))
    share = ((refine(first, two, 3).z[..., 0] > 0) * refine(first, two, 3).weights).sum(0)
    torch.testing.assert_close(share, torch.full((4,), 0.7), atol=0.05, rtol=0)


def test_the_first_draws_stay_where_the_gaussian_does_not_suit() -> None:
    """A target on a thin ring, which first draws know and a Gaussian misses."""
    angle = 2 * math.pi * torch.arange(256)[:, None] / 256
    ring = torch.stack([torch.cos(angle), torch.sin(angle)], -1)
    first = ImportanceSample(ring, torch.zeros(256, 1))
    found = refine(first, lambda z: -0.5 * ((z.norm(dim=-1) - 1) / 1e-3).square(), 3)
    assert torch.equal(found.z, ring)
    assert torch.equal(found.log_weight, first.log_weight)


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_draws_without_a_spread_or_with_bad_numbers_stay_as_they_are(value: float) -> None:
    first = ImportanceSample(torch.full((8, 3, 2), value), torch.zeros(8, 3))
    found = refine(first, gaussian, 3)
    torch.testing.assert_close(found.z, first.z, equal_nan=True)


def test_the_seed_decides_and_the_global_generator_is_left_alone() -> None:
    first, state = draws_around(MEAN, 1.0, 64, 3), torch.get_rng_state()
    found = [refine(first, gaussian, seed).z for seed in (1, 1, 2)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert torch.equal(torch.get_rng_state(), state)
