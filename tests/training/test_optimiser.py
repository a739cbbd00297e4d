from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from genovi.training.optimiser import Adam


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((3, 4), (5,), (2, 2))]


def give_gradients(some: list[nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(100 + step)
    for i, one in enumerate(some):
        gradient = torch.randn(one.shape, generator=generator)
        one.grad = None if i == 1 and step % 3 == 0 else gradient  # one of them has none now and then


def follow(some: list[nn.Parameter], optimiser: Adam, steps: range) -> None:
    for step in steps:
        give_gradients(some, step)
        optimiser.step(0.1 / (1 + step))


def test_steps_are_those_of_torch_bit_for_bit() -> None:
    ours, theirs = parameters(), parameters()
    optimiser, reference = Adam(ours), torch.optim.Adam(theirs, fused=True)
    for step in range(20):
        give_gradients(ours, step)
        give_gradients(theirs, step)
        optimiser.step(0.1 / (1 + step))
        reference.param_groups[0]["lr"] = 0.1 / (1 + step)
        reference.step()
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


def test_a_restored_state_goes_on_as_if_nothing_had_been() -> None:
    whole, first = parameters(), parameters()
    follow(whole, Adam(whole), range(10))
    optimiser = Adam(first)
    follow(first, optimiser, range(6))
    kept = {name: tensor.clone() for name, tensor in optimiser.tensors().items()}
    second = [nn.Parameter(one.detach().clone()) for one in first]
    resumed = Adam(second)
    resumed.restore(kept)
    follow(second, resumed, range(6, 10))
    for one, other in zip(whole, second, strict=True):
        assert torch.equal(one, other)


def test_what_a_checkpoint_lacks_stays_as_it_is() -> None:
    optimiser = Adam(parameters())
    optimiser.restore({"2.exp_avg": torch.full((2, 2), 7.0)})
    state = optimiser.tensors()
    assert state["2.exp_avg"].tolist() == [[7.0, 7.0], [7.0, 7.0]]
    assert not any(tensor.any() for name, tensor in state.items() if name != "2.exp_avg")


@pytest.mark.parametrize("posterior", ["ddvi", "gaussian"])
def test_training_does_not_load_the_compiler_of_torch(posterior: str) -> None:
    script = f"""
import sys
import numpy as np
from genovi.model.config import ModelConfig
from genovi.seeding import Seeds
from genovi.training.config import TrainingConfig
from genovi.training.loop import fit
from genovi.training.monitor import Monitor
x = np.random.default_rng(0).normal(size=(60, 3))
fit(x, ModelConfig(posterior={posterior!r}), TrainingConfig(epochs=2), Seeds(1), Monitor())
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
