"""The choice of device, and that training stays there."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from toys import stream

from genovi.errors import ConfigError, ResourceError
from genovi.model.config import POSTERIORS, PRIORS, ModelConfig
from genovi.model.densities import Noise
from genovi.model.vae import LatentModel
from genovi.ranks import ALONE
from genovi.seeding import Seeds
from genovi.training import loop
from genovi.training.config import TrainingConfig
from genovi.training.device import choose_device, choose_precise_device, set_threads
from genovi.training.gradients import choose_gradients
from genovi.training.objectives import choose_objective


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A machine that has the devices of ``request.param`` beside the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in request.param)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in request.param)


@pytest.fixture
def threads() -> Iterator[int]:
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("machine", "expected"),
    [((), "cpu"), (("cuda",), "cuda"), (("mps",), "mps"), (("cuda", "mps"), "cuda")],
    indirect=["machine"],
)
def test_auto_takes_the_fastest_that_is_there(machine: None, expected: str) -> None:
    assert choose_device("auto") == torch.device(expected)


@pytest.mark.parametrize("machine", [("cuda",)], indirect=True)
def test_cpu_is_cpu_even_where_there_is_a_gpu(machine: None) -> None:
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("machine", [()], indirect=True)
@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_an_absent_device_is_an_error_that_lists_what_is_there(machine: None, name: str) -> None:
    with pytest.raises(ResourceError, match=f"--device {name}.*this machine offers cpu") as caught:
        choose_device(name)
    assert caught.value.exit_code == 5


def test_an_unknown_name_is_a_usage_error() -> None:
    with pytest.raises(ConfigError, match="tpu"):
        choose_device("tpu")


def test_threads_are_set_when_given_and_left_alone_otherwise(threads: int) -> None:
    assert set_threads(None) == threads
    assert set_threads(threads + 1) == torch.get_num_threads() == threads + 1


class Crossings(TorchDispatchMode):
    """Notes operations on tensors of two devices, one of which has to be sent over."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = op(*args, **(kwargs or {}))  # to read a number raises: the device of shapes has none
        devices = {leaf.device for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)}
        if len(devices) > 1:
            self.found.append(str(op))
        return result


class Made(TorchFunctionMode):
    """Notes tensors that are made of Python's numbers, which have to be sent to where they are used."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (torch.tensor, torch.as_tensor, torch.from_numpy, torch.Tensor.new_tensor):
            self.found.append(str(function))
        return function(*args, **(kwargs or {}))


class Unwritten(Noise):
    """Noise on a device without numbers, which has no generator."""

    def __init__(self) -> None:
        super().__init__(torch.Generator())

    def like(self, tensor: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(tensor)

    def uniform(self, n: int, device: torch.device) -> torch.Tensor:
        return torch.empty(n, device=device)


@pytest.mark.parametrize(
    ("posterior", "prior"), [*((one, "mixture") for one in POSTERIORS), *(("ddvi", one) for one in PRIORS[1:])]
)
def test_a_step_stays_on_its_device(posterior: str, prior: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On torch's device of shapes alone, which stands in for a GPU: all that a step does there, it would do here."""
    model = ModelConfig(posterior=posterior, prior=prior, components=5, hidden=16)
    trainer = trainer_of(model, "cpu")
    trainer.model.to("meta")
    trainer.noise = Unwritten()
    weight = trainer.gradients.sleep_weight
    with monkeypatch.context() as patch:  # constants are read once, as training begins
        patch.setattr(torch.Tensor, "tolist", lambda tensor: [0.5] * tensor.numel())
        objective = choose_objective(model, trainer.config)
        trainer.gradients = choose_gradients(trainer.model, objective, weight, trainer.noise, ALONE)
    trainer.sums, trainer.batches.x = trainer.sums.to("meta"), trainer.batches.x.to("meta")
    monkeypatch.setattr(trainer.optimiser, "step", lambda lr: None)  # one kernel of torch's, which has no shape to give
    batches = trainer.batches.epoch()
    next(batches)  # the order of an epoch is sent once
    with Crossings() as crossings, Made() as made:
        trainer._take_step(next(batches))
    assert crossings.found + made.found == []


@pytest.mark.gpu
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_a_gpu_is_never_waited_for_in_a_step(posterior: str) -> None:
    trainer = trainer_of(ModelConfig(posterior=posterior, components=5, hidden=16), "cuda")
    batches = trainer.batches.epoch()
    trainer._take_step(next(batches))
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer._take_step(next(batches))
    finally:
        torch.cuda.set_sync_debug_mode(before)


def trainer_of(model: ModelConfig, device: str) -> loop._Trainer:
    x = np.random.default_rng(1).normal(size=(120, 5))
    training = TrainingConfig(epochs=1, batch_size=32, device=device, threads=None)
    return loop._Trainer(x, model, training, Seeds(7), None, choose_objective(model, training), None, ALONE)


class WithoutDoubles(torch.Tensor):
    """A tensor that refuses float64 as those on Apple's MPS do, until it is moved to the CPU."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if name == "cpu":
            return args[0].as_subclass(torch.Tensor).cpu()
        if name == "double" or (name == "to" and torch.float64 in (*args, kwargs.get("dtype"))):
            raise TypeError("MPS has no float64")
        return super().__torch_function__(func, types, args, kwargs)


def without_doubles(posterior: str, prior: str) -> LatentModel:
    model = LatentModel(
        ModelConfig(posterior=posterior, prior=prior, components=5, hidden=16), torch.ones(4), stream(0)
    )
    for module in model.modules():
        for name, value in list(module._parameters.items()):
            if value is not None:
                module._parameters[name] = torch.nn.Parameter(value.data.as_subclass(WithoutDoubles))
        for name, value in list(module._buffers.items()):
            if value is not None:
                module._buffers[name] = value.as_subclass(WithoutDoubles)
    return model


@pytest.mark.parametrize(("posterior", "prior"), [("ddvi", "mixture"), ("gaussian", "mixture-free"), ("iaf", "normal")])
def test_nothing_but_quadrature_needs_doubles_on_the_device(posterior: str, prior: str) -> None:
    model = without_doubles(posterior, prior)
    x = torch.randn(6, 4, generator=stream(1)).as_subclass(WithoutDoubles)
    with pytest.raises(TypeError, match="no float64"):
        x.double()
    excess = torch.eye(4).repeat(6, 1, 1).as_subclass(WithoutDoubles)
    model.importance_sample(x, 16, 1)
    model.posterior_sample(x, 16, 1)
    model.posterior_sample(x, 16, 1, excess)
    trainer = SimpleNamespace(model=model, held_out=x, held_out_seed=1)
    assert np.isfinite(loop._Trainer._elbo_held_out(trainer))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("machine", "name", "kind"),
    [("mps", "auto", "cpu"), ("cuda", "auto", "cuda"), ("mps", "mps", "cpu")],
    indirect=["machine"],
)
def test_quadrature_runs_where_there_are_doubles(machine: None, name: str, kind: str) -> None:
    assert choose_precise_device(name).type == kind
