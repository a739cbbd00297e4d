"""Seeds: streams are stable, independent, and leave the global generators alone."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from genovi.seeding import Seeds

names = st.text(max_size=20)
roots = st.integers(min_value=-(2**63), max_value=2**64)


def test_streams_stay_what_they_are() -> None:
    # Results that were published with a seed must come out again: these numbers never change.
    assert Seeds(1).integer("init") == 9026945870587435849
    assert Seeds(1).child("restart").integer("init") == 5643157712331418635
    assert Seeds(1).numpy("init").integers(2**32) == 124754064


@given(roots, names, names)
def test_names_and_roots_separate_streams(root: int, one: str, other: str) -> None:
    seeds = Seeds(root)
    assert seeds.integer(one) == Seeds(root).integer(one)
    assert 0 <= seeds.integer(one) < 2**63
    assert seeds.integer(one) != Seeds(root + 1).integer(one)
    assert seeds.child(one).integer(other) != seeds.integer(other)
    if one != other:
        assert seeds.integer(one) != seeds.integer(other)


def test_streams_are_uncorrelated() -> None:
    seeds = Seeds(0)
    draws = np.stack([seeds.numpy(f"stream {k}").standard_normal(4000) for k in range(20)])
    off_diagonal = np.corrcoef(draws)[np.triu_indices(20, 1)]
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(4000)


def test_drawing_from_one_stream_leaves_others_alone() -> None:
    seeds = Seeds(7)
    expected = seeds.numpy("noise").random(5)
    seeds.numpy("batches").random(1000)
    np.testing.assert_array_equal(seeds.numpy("noise").random(5), expected)


def test_torch_generator_repeats_and_follows_the_device(device: str) -> None:
    import torch

    one, other = (Seeds(3).torch("noise", device) for _ in range(2))
    assert one.device.type == torch.device(device).type
    assert torch.equal(torch.rand(8, generator=one, device=device), torch.rand(8, generator=other, device=device))
    third = Seeds(4).torch("noise", device)
    assert not torch.equal(torch.rand(8, generator=one, device=device), torch.rand(8, generator=third, device=device))


def test_global_generators_are_untouched() -> None:
    import torch

    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    seeds = Seeds(5)
    seeds.numpy("a").random(3)
    torch.rand(3, generator=seeds.torch("a"))
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])
