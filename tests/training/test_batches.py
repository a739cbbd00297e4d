"""The split into training and held-out samples, and mini-batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import stream

from genovi.model.config import ModelConfig
from genovi.seeding import Seeds
from genovi.training.batches import Batches, split_samples
from genovi.training.config import MIN_HELD_OUT, TrainingConfig


@given(n=st.integers(0, 2000), holdout=st.floats(0, 0.99), root=st.integers(0, 10**6))
def test_a_split_parts_all_samples_in_two(n: int, holdout: float, root: int) -> None:
    training, held_out = split_samples(n, holdout, Seeds(root))
    np.testing.assert_array_equal(np.sort(np.concatenate([training, held_out])), np.arange(n))
    assert (np.diff(training) > 0).all() and (np.diff(held_out) > 0).all()
    fallback = MIN_HELD_OUT if holdout > 0 and n >= 10 * MIN_HELD_OUT else 0
    asked = round(holdout * n)
    assert len(held_out) == (asked if asked >= MIN_HELD_OUT else fallback)
    assert len(held_out) == 0 or len(held_out) >= MIN_HELD_OUT


@given(
    n=st.integers(1, 5000), holdout=st.sampled_from([0, 0.05, 0.3]), size=st.integers(1, 600), epochs=st.integers(0, 3)
)
def test_passes_are_as_many_as_steps_need(n: int, holdout: float, size: int, epochs: int) -> None:
    config, model = TrainingConfig(holdout=holdout, batch_size=size, epochs=epochs), ModelConfig()
    training, _ = split_samples(n, holdout, Seeds(1))
    per_epoch = Batches(torch.zeros(len(training), 1), size, stream(1)).per_epoch
    found, steps = config.epochs_for(model, n), config.steps_for(model, n)
    assert found == epochs or (epochs == 0 and (found - 1) * per_epoch < steps <= found * per_epoch)


def test_small_cohorts_train_on_everybody() -> None:
    n = 10 * MIN_HELD_OUT
    assert len(split_samples(n - 10, 0.1, Seeds(1))[1]) == 0
    assert len(split_samples(n, 0.1, Seeds(1))[1]) == MIN_HELD_OUT


def test_a_split_follows_the_seed_and_is_no_run_of_neighbours() -> None:
    splits = [split_samples(1000, 0.1, Seeds(seed))[1] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(splits[0], splits[1])
    assert len(np.intersect1d(splits[0], splits[2])) < 50
    # files list populations one after another: held-out samples come from all over
    assert (np.histogram(splits[0], bins=4, range=(0, 1000))[0] > 10).all()


@given(n=st.integers(1, 80), size=st.integers(1, 100))
def test_an_epoch_holds_equal_batches_of_different_samples(n: int, size: int) -> None:
    batches = Batches(torch.arange(n)[:, None], size, stream(1))
    epoch = [batch[:, 0] for batch in batches.epoch()]
    assert len(epoch) == batches.per_epoch == max(1, n // size)
    assert {len(batch) for batch in epoch} == {min(n, size)}
    seen = torch.cat(epoch)
    assert len(seen.unique()) == len(seen)


def test_epochs_are_shuffled_anew_and_leftovers_return() -> None:
    batches = Batches(torch.arange(50)[:, None], 20, stream(1))
    epochs = [torch.cat(list(batches.epoch()))[:, 0] for _ in range(12)]
    assert not torch.equal(epochs[0], epochs[1])
    assert len(torch.cat(epochs).unique()) == 50


@pytest.mark.parametrize(("seed", "same"), [(1, True), (2, False)])
def test_the_order_comes_from_the_generator(seed: int, same: bool) -> None:
    first, second = (list(Batches(torch.arange(50)[:, None], 20, stream(s)).epoch()) for s in (1, seed))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True)) is same
