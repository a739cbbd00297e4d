"""The whole model: gradients, saving, and importance samples that depend on their own row only."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from toys import DENSE, PAIRS, assert_gradients_everywhere, build_model, data_from, noise_for, numpy

from genovi.model import vae
from genovi.model.config import CURVES, ModelConfig
from genovi.training.config import TrainingConfig
from genovi.training.objectives import choose_objective

each_posterior = pytest.mark.parametrize("posterior", DENSE)
each_pair = pytest.mark.parametrize(("posterior", "prior"), PAIRS)


def value_of(model: vae.LatentModel, x: torch.Tensor) -> torch.Tensor:
    """A number that all parameters but a discriminator's have a part in."""
    terms = model.terms(x, noise_for(model, 2))[0]
    return -(terms.log_weight if model.config.has_density else terms.reconstruction + terms.prior).mean()


@each_pair
@pytest.mark.parametrize("d", [1, 2, 5])
def test_gradients_of_the_bound_reach_every_parameter(posterior: str, prior: str, d: int, device: str) -> None:
    if d != 2 and prior in CURVES:
        pytest.skip("curves lie in the plane")
    model = build_model(posterior, prior, d=d, device=device)
    objective = choose_objective(model.config, TrainingConfig())
    loss, terms = objective.loss(model, data_from(model, 64, 1), noise_for(model, 2), 1.0)
    assert terms.reconstruction.shape == (64,)
    if model.config.sleeps:
        loss = loss + model.sleep_loss(64, noise_for(model, 3))
    loss.backward()
    assert_gradients_everywhere(model)


@each_pair
def test_gradients_are_those_of_finite_differences(posterior: str, prior: str, device: str) -> None:
    model = build_model(posterior, prior, steps=2, device=device)
    x = data_from(model, 8, 1)

    def loss() -> torch.Tensor:
        return value_of(model, x)

    loss().backward()
    rng = np.random.default_rng(3)
    for name, parameter in model.named_parameters():
        if parameter.grad is None or not parameter.numel():
            assert "discriminator" in name or not parameter.numel()
            continue
        flat, gradient = parameter.detach().view(-1), parameter.grad.view(-1)
        i = int(rng.integers(len(flat)))
        kept, step = flat[i].item(), 1e-5
        values = []
        for sign in (1, -1):
            flat[i] = kept + sign * step
            values.append(loss().item())
        flat[i] = kept
        slope = (values[0] - values[1]) / (2 * step)
        assert gradient[i].item() == pytest.approx(slope, rel=1e-4, abs=1e-7), name


@each_pair
def test_weights_carry_the_whole_model(posterior: str, prior: str, device: str) -> None:
    model = build_model(posterior, prior, seed=1, device=device)
    other = build_model(posterior, prior, seed=2, device=device)
    x = data_from(model, 9, 1)
    expected = value_of(model, x).item()
    assert value_of(other, x).item() != pytest.approx(expected)
    with torch.no_grad():
        other.likelihood.scale.mul_(3)
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    assert value_of(other, x).item() == expected


def test_initial_weights_come_from_the_generator_alone() -> None:
    config = ModelConfig(latent_dim=2, steps=2, components=4, hidden=8)
    states = []
    for ambient, seed in ((10, 1), (20, 1), (10, 2)):
        with torch.random.fork_rng():
            torch.manual_seed(ambient)
            model = vae.LatentModel(config, torch.ones(3), torch.Generator().manual_seed(seed))
        states.append(torch.cat([tensor.ravel() for tensor in model.state_dict().values()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@each_posterior
def test_an_importance_sample_depends_on_the_seed_and_on_its_row_alone(posterior: str, device: str) -> None:
    model = build_model(posterior, device=device)
    x = data_from(model, 7, 1)
    order = torch.tensor([5, 1, 3])
    whole, some = model.importance_sample(x, 6, 1), model.importance_sample(x[order], 6, 1)
    assert whole.z.shape == (6, 7, 2) and whole.log_weight.shape == (6, 7)
    np.testing.assert_allclose(numpy(some.z), numpy(whole.z[:, order]), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(numpy(some.log_weight), numpy(whole.log_weight[:, order]), rtol=1e-12)
    assert not np.allclose(numpy(model.importance_sample(x, 6, 2).z), numpy(whole.z))


@each_posterior
def test_rows_worked_off_in_portions_are_the_same(posterior: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(posterior, device=device)
    x = data_from(model, 7, 1)
    whole = model.importance_sample(x, 6, 1)
    monkeypatch.setattr(vae, "_ROWS_AT_ONCE", 12)
    portions = model.importance_sample(x, 6, 1)
    np.testing.assert_allclose(numpy(portions.z), numpy(whole.z), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(numpy(portions.log_weight), numpy(whole.log_weight), rtol=1e-12)


@each_pair
def test_global_generators_are_untouched(posterior: str, prior: str) -> None:
    model = build_model(posterior, prior)
    x = data_from(model, 5, 1)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    model.prior.sample(5, noise_for(model, 2))
    model.terms(x, noise_for(model, 2))
    if model.config.has_density:
        model.importance_sample(x, 4, 1)
        model.sleep_loss(5, noise_for(model, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpy_before).all()


@each_posterior
def test_the_posterior_sees_columns_of_unit_scale(posterior: str, device: str) -> None:
    """Columns of different scales, divided by them: a common factor of data and scale changes no draw."""
    model = build_model(posterior, device=device)
    x = data_from(model, 5, 1)
    before = model.importance_sample(x, 4, 1).z
    with torch.no_grad():
        factor = torch.linspace(0.5, 3, 4, dtype=torch.float64, device=device)
        model.likelihood.scale.mul_(factor)
    np.testing.assert_allclose(numpy(model.importance_sample(x * factor, 4, 1).z), numpy(before), rtol=1e-9)
