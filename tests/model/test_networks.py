"""Networks: what their initial weights depend on."""

from __future__ import annotations

import torch
from toys import stream

from genovi.model.networks import initialise, perceptron


def test_weights_are_drawn_from_the_generator_alone() -> None:
    first, again, other = (perceptron([3, 8, 2]) for _ in range(3))
    for network, seed in ((first, 1), (again, 1), (other, 2)):
        initialise(network, stream(seed))
    for a, b, c in zip(first.parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


def test_initial_weights_keep_the_scale_of_what_passes_through() -> None:
    network = perceptron([100, 100, 100])
    initialise(network, stream(1))
    for layer in (network[0], network[-1]):
        assert layer.weight.abs().max() <= 0.1 and layer.bias.abs().max() <= 0.1
        assert layer.weight.std() > 0.05


def test_a_perceptron_ends_in_a_linear_layer_and_bends_before() -> None:
    """Outputs of both signs and any size: means and decoders need them."""
    network = perceptron([2, 16, 16, 3])
    initialise(network, stream(1))
    z = torch.randn(50, 2, generator=stream(2))
    out = network(z)
    assert not torch.allclose(network(2 * z) - out, out - network(0 * z), atol=1e-3)
    with torch.no_grad():
        network[-1].weight *= -2
        network[-1].bias *= -2
    torch.testing.assert_close(network(z), -2 * out)
