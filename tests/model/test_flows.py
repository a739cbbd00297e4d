"""Normalising flows: the Jacobian is that of automatic differentiation, and the way back leads back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import jitter, numpy, stream

from genovi.model.flows import Flow

each_kind = pytest.mark.parametrize("splines", [False, True], ids=["affine", "splines"])
each_context = pytest.mark.parametrize("context", [0, 3])


def flow_with(d: int, context: int, splines: bool) -> tuple[Flow, torch.Tensor, torch.Tensor | None]:
    flow = Flow(d, context, 3, splines)
    flow.start(stream(1))
    jitter(flow, 2, 0.3)
    z = torch.randn(6, d, generator=stream(3), dtype=torch.float64)
    beside = torch.randn(6, context, generator=stream(4), dtype=torch.float64) if context else None
    return flow.double(), z, beside


@each_kind
@each_context
@pytest.mark.parametrize("d", [1, 2, 4])
def test_log_volume_is_the_determinant_of_the_jacobian(d: int, context: int, splines: bool) -> None:
    flow, z, beside = flow_with(d, context, splines)
    out, log_volume = flow.push(z, beside)
    assert not torch.allclose(out, z, atol=0.05)
    for i in range(len(z)):
        row = None if beside is None else beside[i]
        jacobian = torch.autograd.functional.jacobian(lambda v, row=row: flow.push(v, row)[0], z[i])
        assert torch.linalg.slogdet(jacobian).logabsdet.item() == pytest.approx(log_volume[i].item(), abs=1e-8)


@each_kind
@each_context
@pytest.mark.parametrize("d", [1, 2, 4])
def test_pull_undoes_push(d: int, context: int, splines: bool) -> None:
    flow, z, beside = flow_with(d, context, splines)
    out, log_volume = flow.push(z, beside)
    back, log_back = flow.pull(out, beside)
    np.testing.assert_allclose(numpy(back), numpy(z), atol=1e-7)
    np.testing.assert_allclose(numpy(log_back), -numpy(log_volume), atol=1e-7)


@each_kind
def test_a_flow_begins_near_the_identity_and_follows_the_generator(splines: bool) -> None:
    z = torch.randn(50, 2, generator=stream(3))
    beside = torch.randn(50, 3, generator=stream(4))
    outs = []
    for seed in (1, 1, 2):
        flow = Flow(2, 3, 3, splines)
        flow.start(stream(seed))
        outs.append(numpy(flow.push(z, beside)[0]))
    np.testing.assert_array_equal(outs[0], outs[1])
    assert not np.allclose(outs[0], outs[2])
    assert np.abs(outs[0] - numpy(z)).max() < 0.5


def test_every_coordinate_bends_every_other_in_turn() -> None:
    flow, z, _ = flow_with(2, 0, False)
    jacobian = torch.autograd.functional.jacobian(lambda v: flow.push(v, None)[0], z[0])
    assert (jacobian.abs() > 1e-4).all()
