"""Training finds the structure there is, and none where there is none."""

from __future__ import annotations

import numpy as np
import torch
from reference import neighbour_accuracy, separation
from toys import LONG, each_posterior_of, numpy, pcs

from genovi.model.config import ModelConfig
from genovi.seeding import Seeds
from genovi.training.config import TrainingConfig
from genovi.training.loop import fit
from genovi.training.monitor import Monitor

# of the variants of the chain, the simple one cannot tell one sample from another
each_posterior = each_posterior_of(["ddvi", "gaussian", "aae", *LONG])
POPULATIONS, PER, COMPONENTS = 4, 40, 8
CHANCE = 1 / POPULATIONS


def embed(x: np.ndarray, posterior: str, steps: int) -> np.ndarray:
    """One draw of z for each sample, shape (n, 2), after so many steps of training."""
    model = ModelConfig(latent_dim=2, posterior=posterior, prior="mixture", steps=3, components=8, hidden=32)
    training = TrainingConfig(
        epochs=0,
        steps=steps,
        batch_size=64,
        lr=1e-2,
        sleep_weight=0.1,
        holdout=0.15,
        patience=1000,
        device="cpu",
        threads=None,
    )
    trained = fit(x, model, training, Seeds(7), Monitor()).model
    rows = torch.as_tensor(x, dtype=torch.float32)
    return numpy(trained.importance_sample(rows, 1, 1).z[0] if trained.config.has_density else trained.locate(rows))


@each_posterior
def test_populations_separate_by_training(posterior: str) -> None:
    x, labels = pcs(4, POPULATIONS, PER, 0.05, COMPONENTS)
    before, after = embed(x, posterior, 1), embed(x, posterior, 300)
    assert neighbour_accuracy(before, labels, 10) < 0.5
    assert neighbour_accuracy(after, labels, 10) > 0.8
    assert separation(after, labels) > 50 * separation(before, labels)


@each_posterior
def test_no_structure_is_made_up(posterior: str) -> None:
    x, labels = pcs(4, POPULATIONS, PER, 0.0, COMPONENTS)
    after = embed(x, posterior, 300)
    assert neighbour_accuracy(after, labels, 10) < CHANCE + 0.15
    assert separation(after, labels) < 0.15
