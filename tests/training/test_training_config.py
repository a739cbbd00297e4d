"""Training settings that make no sense are refused, with the option's name."""

from __future__ import annotations

import pytest

from genovi.errors import ConfigError
from genovi.model.config import ModelConfig
from genovi.training.config import DEVICES, TrainingConfig


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", -1, "--epochs must not be negative"),
        ("steps", 0, "steps must be positive"),
        ("batch_size", 0, "--batch-size must be positive"),
        ("lr", 0.0, "--lr must be positive"),
        ("lr", -1e-3, "--lr must be positive"),
        ("lr", float("nan"), "--lr must be positive"),
        ("holdout", 1.0, r"holdout must lie in \[0, 1\)"),
        ("holdout", -0.1, r"holdout must lie in \[0, 1\)"),
        ("threads", 0, "--threads must be from 1 to 512"),
        ("threads", 100_000, "--threads must be from 1 to 512"),
        ("objective", "vi", "unknown --objective.*elbo, iwae"),
        ("draws", 0, "--draws must be at least 1"),
        ("device", "tpu", "unknown --device.*auto, cpu, cuda, mps"),
    ],
)
def test_nonsense_is_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainingConfig(**{name: value})


@pytest.mark.parametrize("device", DEVICES)
def test_every_device_has_a_name(device: str) -> None:
    assert TrainingConfig(device=device, threads=1, holdout=0.0, epochs=0).device == device


@pytest.mark.parametrize(
    ("likelihood", "n_samples", "holdout", "steps"),
    [
        ("gaussian", 1000, 0.05, 5500),
        ("gaussian", 200, 0.05, 5500),  # 20 are held out
        ("gaussian", 199, 0.05, 2750),  # nobody is
        ("gaussian", 1000, 0.0, 2750),
        ("binomial", 1000, 0.05, 1375),
        ("binomial", 199, 0.05, 1375),
    ],
)
def test_fewer_steps_where_nothing_tells_when_to_stop(
    likelihood: str, n_samples: int, holdout: float, steps: int
) -> None:
    model = ModelConfig(likelihood=likelihood)
    assert TrainingConfig(holdout=holdout).steps_for(model, n_samples) == steps
    assert TrainingConfig(holdout=holdout, steps=77).steps_for(model, n_samples) == 77
