"""What several ranks share of a training step: its rows, and the sum of their gradients.

    d/d theta (1/n) sum_i loss_i = sum_r (n_r / n) d/d theta (1/n_r) sum_{i in r} loss_i        r: rank, n_r: its rows

Every rank draws the noise of the whole batch from the same stream and uses that of its own rows (see ``Noise.among``),
so that the sum is what one process would have had, but for rounding.
"""

from __future__ import annotations

import torch

from genovi.errors import ConfigError
from genovi.model.densities import Noise
from genovi.model.vae import LatentModel
from genovi.ranks import Ranks


def check_batch(ranks: Ranks, size: int, model: LatentModel) -> None:
    """Refuse more ranks than there is work for in a step.

    Raises:
        ConfigError: a rank would have no sample of a batch, or no dream.
    """
    least = size if model.likelihood.most_dreams is None else min(size, model.likelihood.most_dreams)
    if ranks.size > least:
        raise ConfigError(
            f"{ranks.size} processes for {least} samples in a step",
            why="some would have nothing to do",
            fix="start fewer of them",
        )


def own_part(ranks: Ranks, n: int, noise: Noise) -> tuple[slice, float, Noise]:
    """Of n samples the rows of this rank, their share, and the noise that is theirs."""
    rows = ranks.rows(n)
    return rows, (rows.stop - rows.start) / n, noise.among(n, rows)


def sum_gradients(model: torch.nn.Module, ranks: Ranks) -> None:
    """Put the sum over all ranks in the place of every gradient: one exchange for all of them."""
    if ranks.alone:
        return
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    ranks.sum_(flat)
    for gradient, summed in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))
