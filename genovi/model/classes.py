"""Classes of samples (--semi-supervised): a table of what share of each component of the prior a class has.

    p(x, c) = sum_z p(z) p(x | z) p(c | z),      p(c | z) = sum_k p(k | z) p(c | k)

The table p(c | k) is learned with all the rest, so the map is that of p(x) but for what labels say, and the class of a
sample is one more latent variable that is summed over exactly: p(c | x) = E_{p(z|x)} p(c | z). This is the
semi-supervised extension of Piriyakulkij, Wang, Kuleshov (AAAI 2025) with the classifier q(c | x) replaced by what it
approximates, and components that belong to no class until labels say so.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genovi.model.densities import log_sum_exp


class ClassTable(nn.Module):
    """p(c | k) of K components and C classes, all equal at first.

    Args:
        components: K.
        classes: C.
    """

    def __init__(self, components: int, classes: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components, classes))

    def log_table(self) -> Tensor:
        """log p(c | k), shape (K, C)."""
        return torch.log_softmax(self.logits, dim=-1)

    def log_probabilities(self, scores: Tensor) -> Tensor:
        """log p(c | z), shape (..., C), from log p(k, z) but for what no component changes, shape (..., K)."""
        joint = torch.log_softmax(scores, dim=-1)[..., None] + self.log_table()
        return log_sum_exp(joint, dim=-2)
