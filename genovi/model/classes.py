"""Classes as slices of a mixture prior: component k belongs to class k mod C.

    p(c | z) = sum_{k of class c} p(k | z),      p(z) = sum_c p(c) p(z | c) as without classes

so the class of a sample is one more latent variable that is summed over exactly, and p(c | x) = E_{p(z|x)} p(c | z).
This is the semi-supervised extension of Piriyakulkij, Wang, Kuleshov (AAAI 2025) with the classifier q(c | x) replaced
by what it approximates.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genovi.model.densities import log_sum_exp
from genovi.model.mixtures import MixturePrior


def class_log_probabilities(prior: MixturePrior, z: Tensor, classes: int) -> Tensor:
    """log p(c | z), z of shape (..., d), returns shape (..., classes)."""
    scores = torch.log_softmax(prior.component_log_density(z), dim=-1)
    short = -scores.shape[-1] % classes
    if short:
        scores = torch.nn.functional.pad(scores, (0, short), value=-math.inf)
    return log_sum_exp(scores.unflatten(-1, (-1, classes)), dim=-2)
