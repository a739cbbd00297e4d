"""Settling: q alone comes closer to p(z | x); prior and decoder, and with them the map, stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import DENSE, each_posterior_of, pcs

from genovi.bounds import Bounds, measure
from genovi.model.config import ModelConfig
from genovi.seeding import Seeds
from genovi.training.config import TrainingConfig
from genovi.training.loop import fit
from genovi.training.monitor import Monitor
from genovi.training.outcome import Fit
from genovi.training.settling import Settling, settling_steps

SEEDS = Seeds(7)
SHORT = {"epochs": 20, "lr": 5e-3}


def model_config(posterior: str, prior: str = "mixture") -> ModelConfig:
    return ModelConfig(latent_dim=2, posterior=posterior, prior=prior, steps=2, components=5, hidden=16)


def training_config(**changes: object) -> TrainingConfig:
    common = {"batch_size": 32, "holdout": 0.25, "patience": 1000, "device": "cpu", "threads": None}
    return TrainingConfig(**{**common, **changes})


def data() -> np.ndarray:
    rng = np.random.default_rng(1)
    groups = rng.normal(scale=3, size=(3, 5))
    return groups[rng.integers(3, size=120)] + rng.normal(size=(120, 5))


def weights(result: Fit) -> dict[str, torch.Tensor]:
    return result.model.state_dict()


def pair(posterior: str, **changes: object) -> tuple[Fit, Fit]:
    """The same training with and without settling."""
    both = [
        fit(data(), model_config(posterior), training_config(**{**SHORT, **changes}, settling=share), SEEDS, Monitor())
        for share in (1.0, 0.0)
    ]
    return both[0], both[1]


@each_posterior_of(DENSE)
def test_only_the_posterior_changes(posterior: str) -> None:
    settled, plain = pair(posterior)
    assert settled.settled is not None
    assert settled.settled.kept
    assert plain.settled is None
    assert str(settled.history[-1].held_out) == str(plain.history[-1].held_out)
    changed = {name for name, value in weights(plain).items() if not torch.equal(value, weights(settled)[name])}
    assert changed
    assert all(name.startswith("posterior.") for name in changed)


def test_the_gap_closes_and_the_likelihood_stays() -> None:
    x, _ = pcs(3, 2, 300, 0.1, 10)
    wide = ModelConfig(latent_dim=2, posterior="ddvi", prior="mixture", steps=2, components=5, hidden=32)
    found = []
    for share in (1.0, 0.0):
        config = training_config(epochs=20, batch_size=64, lr=1e-2, settling=share)
        # of so few people not every seed has a gap that settling closes: with 7 the bound falls and it is not kept
        result = fit(x, wide, config, Seeds(8), Monitor())
        rows = torch.as_tensor(x[result.held_out[:60]], dtype=torch.float32)
        found.append((Bounds.of(measure(result.model, rows, 64, 1), "held-out", len(rows)), result.settled))
    (after, settled), (before, none) = found
    assert settled is not None
    assert none is None
    assert after.log_evidence == pytest.approx(before.log_evidence, abs=1e-3)
    assert after.gap is not None
    assert before.gap is not None
    assert after.gap < 0.8 * before.gap
    assert settled.after > settled.before


def test_no_step_sees_a_sample_as_it_is_or_twice_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    step = Settling._step

    def spy(self: Settling, x: torch.Tensor, most: float) -> None:
        compute = self._gradients.compute

        def kept(rows: torch.Tensor, beta: float) -> torch.Tensor:
            seen.append(rows.numpy())
            return compute(rows, beta)

        monkeypatch.setattr(self._gradients, "compute", kept)
        step(self, x, most)
        monkeypatch.setattr(self._gradients, "compute", compute)

    monkeypatch.setattr(Settling, "_step", spy)
    x = data().astype(np.float32)
    result = fit(x, model_config("ddvi"), training_config(**SHORT, settling=0.2), SEEDS, Monitor())
    assert result.settled is not None
    rows = np.concatenate(seen)
    assert len(rows) > 2 * len(x)
    noise = np.exp(result.model.likelihood.log_noise.detach().numpy())
    distance = (np.square((rows[:, None] - x[None]) / noise).sum(axis=2)).min(axis=1)
    assert distance.min() > 0
    assert 1 < distance.mean() < 5  # the mean of chi-squared of five columns is 5; to another sample it may be less
    assert len(np.unique(rows[:, 0])) == len(rows)


def test_what_does_not_serve_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Settling.run

    def spoil(self: Settling, *arguments: object) -> None:
        run(self, *arguments)
        with torch.no_grad():
            for parameter in self._optimiser._parameters:
                parameter.add_(1.0)

    monkeypatch.setattr(Settling, "run", spoil)
    settled, plain = pair("gaussian")
    assert settled.settled is not None
    assert not settled.settled.kept
    assert settled.settled.after < settled.settled.before
    assert all(torch.equal(value, weights(settled)[name]) for name, value in weights(plain).items())


def test_where_nobody_is_held_out_it_is_left_out() -> None:
    settled, plain = pair("ddvi", holdout=0.0)
    assert settled.settled is None
    assert all(torch.equal(value, weights(settled)[name]) for name, value in weights(plain).items())


@pytest.mark.parametrize(
    ("posterior", "prior", "steps"),
    [("aae", "mixture", 0), ("ddvi", "vamp", 0), ("ddvi", "flow", 2), ("iaf", "normal", 2)],
)
def test_who_settles(posterior: str, prior: str, steps: int) -> None:
    model = model_config(posterior, prior)
    assert settling_steps(model, training_config(settling=0.1), 12, 5) == steps
    assert settling_steps(model, training_config(settling=0.0), 12, 5) == 0
    assert settling_steps(model, training_config(settling=0.1), 12, 0) == 0
    assert TrainingConfig().settling == 0.2
