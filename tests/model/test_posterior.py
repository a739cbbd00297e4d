"""Laws of every posterior: the densities it reports are of what it drew.

A posterior draws through ``Noise`` alone, so a recorder in its place sees the kernels from outside.
"""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch
from scipy.stats import kstest
from toys import DENSE, Recorder, build_model, data_from, noise_for, numpy, stream

from genovi.errors import ConfigError
from genovi.model.build import build_posterior
from genovi.model.config import POSTERIORS, ModelConfig
from genovi.model.densities import Noise
from genovi.model.posterior import START_LOG_STD
from genovi.model.schedule import END

each_posterior = pytest.mark.parametrize("posterior", DENSE)
each_draws = pytest.mark.parametrize("draws", [None, 3])
each_length = pytest.mark.parametrize("steps", [1, 2, 5])


@pytest.mark.parametrize("posterior", POSTERIORS)
@each_draws
def test_shapes(posterior: str, draws: int | None, device: str) -> None:
    model = build_model(posterior, device=device)
    path = model.posterior.draw(model.whiten(data_from(model, 6, 1)), noise_for(model, 2), draws)
    shape = (6,) if draws is None else (draws, 6)
    assert path.z.shape == (*shape, 2)
    assert path.chain.shape == path.entropy.shape == shape
    assert path.values[-1] is path.z and all(value.shape == path.z.shape for value in path.values)


@each_draws
def test_the_gaussian_reports_the_density_of_its_draw(draws: int | None, device: str) -> None:
    model = build_model("gaussian", device=device)
    noise = Recorder(stream(2, device))
    path = model.posterior.draw(model.whiten(data_from(model, 6, 1)), noise, draws)
    (only,) = noise.draws
    np.testing.assert_array_equal(numpy(path.z), only.value)
    np.testing.assert_allclose(numpy(path.entropy), -only.log_density, rtol=1e-9)
    assert (path.chain == 0).all()


@each_draws
@each_length
def test_the_chain_reports_the_densities_of_the_path_it_drew(steps: int, draws: int | None, device: str) -> None:
    model = build_model("ddvi", steps=steps, device=device)
    noise = Recorder(stream(2, device))
    path = model.posterior.draw(model.whiten(data_from(model, 6, 1)), noise, draws)
    first, *reverse = noise.draws
    assert len(reverse) == steps
    np.testing.assert_array_equal(numpy(path.z), reverse[-1].value)
    np.testing.assert_allclose(numpy(path.entropy), -first.log_density, rtol=1e-9)
    noising = reference.noising_log_density(noise.path()[::-1], END)
    expected = noising - sum(drawn.log_density for drawn in reverse)
    np.testing.assert_allclose(numpy(path.chain), expected, rtol=1e-6)  # constants of r are float32


@each_posterior
def test_every_draw_is_noisy_and_follows_its_kernel(posterior: str, device: str) -> None:
    """A chain with point masses in it has no density, and what looks like a bound is none."""
    model = build_model(posterior, device=device)
    noise = Recorder(stream(2, device))
    path = model.posterior.draw(model.whiten(data_from(model, 1, 1)), noise, 4000)
    for drawn in noise.draws:
        assert (drawn.std > 1e-4).all()
        scaled = drawn.scaled[:, 0]
        assert all(kstest(column, "norm").pvalue > 1e-3 for column in scaled.T)
        assert abs(np.corrcoef(scaled.T)[0, 1]) < 0.06
    for earlier, later in zip(noise.draws[:-1], noise.draws[1:], strict=True):
        assert abs(np.corrcoef(earlier.scaled[:, 0, 0], later.scaled[:, 0, 0])[0, 1]) < 0.06
    assert (numpy(path.z).std(axis=0) > 0).all()


def test_every_kernel_of_the_chain_depends_on_x_and_on_the_step_before(device: str) -> None:
    model = build_model("ddvi", steps=3, device=device)
    noise = Recorder(stream(2, device))
    model.posterior.draw(model.whiten(data_from(model, 2, 1)), noise)
    means, stds = ([getattr(drawn, name) for drawn in noise.draws] for name in ("mean", "std"))
    values = [np.full((2, 2), 0.3)] * 4
    level = Recorder(stream(2, device), values)
    model.posterior.draw(model.whiten(data_from(model, 2, 1)), level)
    for drawn in level.draws:  # the same y in both rows: what differs is x
        assert (drawn.mean[0] != drawn.mean[1]).all() and (drawn.std[0] != drawn.std[1]).all()
    for t in range(1, 4):  # the same x as before: what differs is y
        assert (level.draws[t].mean != means[t]).all() and (level.draws[t].std != stds[t]).all()


@each_posterior
def test_with_shared_noise_a_draw_does_not_depend_on_other_rows(posterior: str, device: str) -> None:
    model = build_model(posterior, device=device)
    x = model.whiten(data_from(model, 7, 1))

    def drawn(rows: torch.Tensor) -> list[np.ndarray]:
        path = model.posterior.draw(rows, noise_for(model, 2, shared=True), 4)
        return [numpy(path.z), numpy(path.chain)[..., None], numpy(path.entropy)[..., None]]

    everybody = drawn(x)
    order = torch.tensor([4, 0, 6, 2])
    for whole, some, alone in zip(everybody, drawn(x[order]), drawn(x[5:6]), strict=True):
        np.testing.assert_allclose(some, whole[:, order], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(alone, whole[:, 5:6], rtol=1e-12, atol=1e-12)


@each_posterior
def test_without_shared_noise_equal_rows_get_different_draws(posterior: str, device: str) -> None:
    model = build_model(posterior, device=device)
    x = model.whiten(data_from(model, 1, 1)).expand(5, -1)
    z = numpy(model.posterior.draw(x, noise_for(model, 2)).z)
    assert len(np.unique(z)) == z.size


@pytest.mark.parametrize(("posterior", "steps"), [("gaussian", 0), ("ddvi", 1), ("ddvi", 2), ("ddvi", 5)])
def test_the_sleep_loss_is_the_density_of_the_noised_dream(posterior: str, steps: int, device: str) -> None:
    """Draw the very path that the sleep term noised: both must see the same kernels."""
    model = build_model(posterior, steps=max(steps, 1), device=device)
    x, z = model.whiten(data_from(model, 6, 1)), model.prior.sample(6, noise_for(model, 3)).detach()
    noise = Recorder(stream(4, device))
    loss = numpy(model.posterior.sleep_loss(x, z, noise))
    path = [numpy(z), *noise.path()]
    assert len(path) == steps + 1
    again = Recorder(stream(5, device), path[::-1])
    model.posterior.draw(x, again)
    np.testing.assert_allclose(loss, -sum(drawn.log_density for drawn in again.draws), rtol=1e-9)


@pytest.mark.parametrize("steps", [1, 4])
def test_the_path_of_the_sleep_loss_follows_the_noising_process(steps: int, device: str) -> None:
    model = build_model("ddvi", steps=steps, device=device)
    x = model.whiten(data_from(model, 1, 1)).expand(5000, -1)
    z = torch.tensor([1.5, -0.5], dtype=torch.float64, device=device).expand(5000, 2)
    noise = Recorder(stream(4, device))
    model.posterior.sleep_loss(x, z, noise)
    path = noise.path()
    for t, drawn in enumerate(path, start=1):
        kept = reference.signal(steps, END)[t]
        scaled = (drawn - kept * numpy(z)) / np.sqrt(1 - kept**2)
        assert all(kstest(column, "norm").pvalue > 1e-3 for column in scaled.T), t
    for t in range(1, steps):  # one path, not T draws of their own
        a = reference.signal(steps, END) ** 2
        expected = np.sqrt(a[t + 1] / a[t] * (1 - a[t]) / (1 - a[t + 1]))
        assert np.corrcoef(path[t - 1][:, 0], path[t][:, 0])[0, 1] == pytest.approx(expected, abs=0.06)


@each_posterior
def test_deviations_stay_in_a_sane_range_for_absurd_data(posterior: str, device: str) -> None:
    model = build_model(posterior, device=device)
    noise = Recorder(stream(2, device))
    path = model.posterior.draw(1e4 * model.whiten(data_from(model, 20, 1)), noise)
    for drawn in noise.draws:
        assert drawn.std.min() > 1e-4 and drawn.std.max() < 1e2
    assert torch.isfinite(path.chain + path.entropy).all()


@each_posterior
def test_posteriors_begin_narrow_about_a_mean_that_follows_x(posterior: str, device: str) -> None:
    """The decoder sees where samples are before the posterior has learned how sure to be."""
    config = ModelConfig(latent_dim=2, posterior=posterior, prior="normal", steps=3, hidden=16)
    posterior_at_start = build_posterior(4, config, stream(1)).double().to(device)
    x = torch.randn(20, 4, generator=stream(2), dtype=torch.float64).to(device)
    z = posterior_at_start.draw(x, Noise(stream(3, device)), 2000).z
    np.testing.assert_allclose(numpy(z.std(dim=0)), np.exp(START_LOG_STD), rtol=0.35)
    assert (numpy(z.mean(dim=0)).std(axis=0) > 0.02).all()


@pytest.mark.parametrize("steps", [1, 4, 8])
def test_a_new_chain_costs_little_more_than_a_gaussian(steps: int, device: str) -> None:
    """E[chain + entropy] is the entropy of q(z|x) less the divergence of the auxiliary path, small at the start."""
    config = ModelConfig(latent_dim=2, posterior="ddvi", prior="normal", steps=steps, hidden=16)
    posterior = build_posterior(4, config, stream(1)).double().to(device)
    x = torch.randn(8, 4, generator=stream(2), dtype=torch.float64).to(device)
    path = posterior.draw(x, Noise(stream(3, device)), 4000)
    bound = numpy((path.chain + path.entropy).mean(dim=0))
    std = numpy(path.z.std(dim=0))
    entropy = np.log(std).sum(axis=1) + np.log(2 * np.pi * np.e)
    assert (std < 0.3).all()
    assert ((entropy - bound) < 1).all()
    assert ((entropy - bound) > -0.1).all()


@each_posterior
@each_draws
def test_a_path_scored_again_has_the_densities_that_its_draw_reported(
    posterior: str, draws: int | None, device: str
) -> None:
    model = build_model(posterior, device=device)
    x = model.whiten(data_from(model, 6, 1))
    path = model.posterior.draw(x, noise_for(model, 2), draws)
    chain, entropy = model.posterior(x, path.values)
    np.testing.assert_allclose(numpy(chain), numpy(path.chain), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(numpy(entropy), numpy(path.entropy), rtol=1e-9, atol=1e-9)


@each_posterior
def test_the_marginal_density_is_that_of_the_draws(posterior: str, device: str) -> None:
    """Integrated over a grid it is 1, and its moments there are those of drawn z."""
    model = build_model(posterior, d=1, steps=2, device=device)
    x = model.whiten(data_from(model, 3, 1))
    z = model.posterior.draw(x, noise_for(model, 2), 20_000).z
    mean, std = z.mean(0), z.std(0)
    grid = mean + std * torch.linspace(-8, 8, 161, dtype=torch.float64, device=device)[:, None, None]
    with torch.no_grad():
        density = torch.exp(model.posterior.log_marginal(x, grid, noise_for(model, 3), 600))[..., None]
    cell = 16 / 160 * std
    np.testing.assert_allclose(numpy((density * cell).sum(0)), 1, atol=0.01)
    found = (density * cell * grid).sum(0)
    np.testing.assert_allclose(numpy(found - mean) / numpy(std), 0, atol=0.1)
    spread = (density * cell * (grid - found).square()).sum(0).sqrt()
    np.testing.assert_allclose(numpy(spread), numpy(std), rtol=0.08)


@pytest.mark.parametrize("posterior", ["gaussian", "iaf"])
def test_without_auxiliary_variables_the_marginal_density_is_that_of_the_path(posterior: str, device: str) -> None:
    model = build_model(posterior, device=device)
    x = model.whiten(data_from(model, 5, 1))
    path = model.posterior.draw(x, noise_for(model, 2), 3)
    np.testing.assert_allclose(
        numpy(model.posterior.log_marginal(x, path.z, noise_for(model, 4), 1)), -numpy(path.entropy)
    )


def test_the_simple_chain_sees_x_through_its_first_step_alone(device: str) -> None:
    model = build_model("ddvi-simple", steps=3, device=device)
    values = [np.full((2, 2), 0.3)] * 4
    level = Recorder(stream(2, device), values)
    model.posterior.draw(model.whiten(data_from(model, 2, 1)), level)
    first, *rest = level.draws
    assert (first.mean[0] != first.mean[1]).all()
    for drawn in rest:
        assert (drawn.mean[0] == drawn.mean[1]).all() and (drawn.std[0] == drawn.std[1]).all()


def test_the_adversarial_encoder_is_a_point_without_density(device: str) -> None:
    model = build_model("aae", device=device)
    x = model.whiten(data_from(model, 5, 1))
    path = model.posterior.draw(x, noise_for(model, 2), 3)
    assert (path.z == path.z[:1]).all()
    assert path.entropy.isnan().all()
    for call in (
        lambda: model.posterior(x, path.values),
        lambda: model.posterior.sleep_loss(x, path.z[0], noise_for(model, 2)),
        lambda: model.posterior.log_marginal(x, path.z, noise_for(model, 2), 1),
    ):
        with pytest.raises(ConfigError, match="no density"):
            call()
