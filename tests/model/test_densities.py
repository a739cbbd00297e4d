"""Normal log-densities and the noise that draws are made of."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch
from scipy.stats import kstest
from toys import numpy, stream

from genovi.model.densities import Noise, exp_of_shares, log_sum_exp, normal_log_density


def test_normal_log_density_is_that_of_scipy_and_sums_the_last_axis() -> None:
    generator = stream(1)
    value, mean = (torch.randn(3, 5, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    log_std = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    expected = reference.normal_log_density(numpy(value), numpy(mean), np.exp(numpy(log_std)))
    np.testing.assert_allclose(numpy(normal_log_density(value, mean, log_std)), expected, rtol=1e-12)


def test_log_std_is_of_the_deviation_not_of_the_variance() -> None:
    density = torch.exp(normal_log_density(torch.zeros(1), torch.zeros(1), torch.tensor([np.log(10.0)])))
    np.testing.assert_allclose(numpy(density), 1 / (10 * np.sqrt(2 * np.pi)), rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [1.0, 50.0, 5000.0])
def test_the_sum_of_exponentials_is_that_of_torch_and_so_is_its_gradient(dtype: torch.dtype, width: float) -> None:
    values = (width * torch.randn(7, 5, 40, generator=stream(4))).to(dtype).requires_grad_()
    twin = values.detach().clone().requires_grad_()
    for dim in (0, -1):
        ours, theirs = log_sum_exp(values, dim), torch.logsumexp(twin, dim)
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
        weight = torch.randn(ours.shape, generator=stream(5)).to(dtype)
        values.grad = twin.grad = None
        ours.backward(weight)
        theirs.backward(weight)
        torch.testing.assert_close(values.grad, twin.grad, rtol=1e-5, atol=1e-30)


def test_sums_over_nothing_but_zeros_are_zero_and_zeros_add_nothing() -> None:
    none = torch.full((3,), -torch.inf)
    assert log_sum_exp(none, 0) == -torch.inf
    some = torch.tensor([-torch.inf, 2.0, -torch.inf, 2.0])
    torch.testing.assert_close(log_sum_exp(some, 0), torch.tensor(2 + np.log(2.0), dtype=torch.float32))


def test_shares_below_what_can_count_are_not_worth_their_time() -> None:
    share = exp_of_shares(torch.tensor([0.0, -1.0, -79.0, -500.0, -torch.inf]))
    torch.testing.assert_close(share[:3], torch.exp(torch.tensor([0.0, -1.0, -79.0])))
    assert (share[3:] > 0).all() and (share[3:] < 1e-34).all()


def test_a_draw_has_the_mean_and_the_deviation_asked_for() -> None:
    mean = torch.full((20_000, 2), 3.0, dtype=torch.float64)
    log_std = torch.tensor([np.log(0.5), np.log(2.0)])
    drawn = numpy(Noise(stream(2)).draw(mean, log_std))
    for axis, std in enumerate((0.5, 2.0)):
        assert kstest(drawn[:, axis], "norm", args=(3.0, std)).pvalue > 1e-3
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.03


def test_a_draw_with_density_is_the_draw_with_its_density() -> None:
    generator = stream(1)
    mean, log_std = (torch.randn(5, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    repeated = mean.expand(3, 5, 2)
    value, density = Noise(stream(2)).draw_with_density(repeated, log_std)
    assert torch.equal(value, Noise(stream(2)).draw(repeated, log_std))
    expected = reference.normal_log_density(numpy(value), numpy(mean), np.exp(numpy(log_std)))
    np.testing.assert_allclose(numpy(density), expected, rtol=1e-12)


def test_gradients_of_a_density_are_those_along_the_draw() -> None:
    mean = torch.zeros(4, 2, dtype=torch.float64, requires_grad=True)
    log_std = torch.full((4, 2), 0.3, dtype=torch.float64, requires_grad=True)
    weight = torch.linspace(1, 2, 4, dtype=torch.float64)
    gradients = []
    for at_once in (True, False):
        noise = Noise(stream(2))
        if at_once:
            value, density = noise.draw_with_density(mean, log_std)
        else:
            value = noise.draw(mean, log_std)
            density = normal_log_density(value, mean, log_std)
        loss = (weight * density).sum() + value.square().sum()
        gradients.append(torch.autograd.grad(loss, [mean, log_std]))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_gradients_pass_through_a_draw() -> None:
    mean = torch.zeros(4, 2, requires_grad=True)
    log_std = torch.zeros(4, 2, requires_grad=True)
    Noise(stream(3)).draw(mean, log_std).sum().backward()
    assert torch.equal(mean.grad, torch.ones(4, 2))
    assert (log_std.grad != 0).all()


def test_shared_noise_is_the_same_for_all_samples_but_not_for_draws_or_axes() -> None:
    noise = numpy(Noise(stream(4), shared=True).like(torch.empty(6, 5, 2)))
    assert (noise == noise[:, :1]).all()
    assert len(np.unique(noise[:, 0])) == 12


def test_noise_of_its_own_differs_between_samples() -> None:
    assert len(np.unique(numpy(Noise(stream(4)).like(torch.empty(6, 5, 2))))) == 60
