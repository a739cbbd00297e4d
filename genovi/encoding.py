"""From a sample's principal components to its row of an embedding.

The posterior is summarised with importance weights v_k over K draws z_k, first from q(z|x), then from a Gaussian where
those say that it lies (see genovi.model.importance):

    mean = sum_k v_k z_k,      std^2 = sum_k v_k (z_k - mean)^2,      p(cluster) = sum_k v_k p(cluster | z_k)

so what is reported tends to the posterior p(z|x) of the model itself as K grows, and the encoder's own error drops
out. All samples share the same noise: a sample's row does not depend on which others are there, or on their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genovi.embedding import Embedding
from genovi.model.importance import ImportanceSample
from genovi.model.rows import Data, GenotypeRows, Genotypes
from genovi.model.vae import LatentModel
from genovi.structure.projection import Projection

DRAWS = 256
_ROWS = 512  # their draws and clusters are held at once


@dataclass(frozen=True)
class Components:
    """What a model sees of samples.

    Attributes:
        x: Noise-scaled principal components, shape (n_samples, k).
        missing: Share of the model's variants missing in each sample, shape (n_samples,).
        excess: Covariance that missing genotypes add to x, shape (n_samples, k, k); None where nothing is missing.
        genotypes: Of the samples, for a likelihood of genotypes; None for one of components.
    """

    x: np.ndarray
    missing: np.ndarray
    excess: np.ndarray | None = None
    genotypes: Genotypes | None = None

    @staticmethod
    def of(projection: Projection, noise_scale: float, genotypes: Genotypes | None = None) -> Components:
        """Projected scores in the unit of the model."""
        excess = None if projection.excess is None else projection.excess / noise_scale**2
        return Components(projection.scores / noise_scale, projection.missing, excess, genotypes)

    def parts(self) -> Iterator[tuple[np.ndarray, Data, Tensor | None]]:
        """Rows, their x and their excess, complete samples apart from incomplete ones, at most 512 at once."""
        incomplete = np.zeros(len(self.x), dtype=bool) if self.excess is None else self.missing > 0
        for which, excess in ((~incomplete, None), (incomplete, self.excess)):
            rows = np.flatnonzero(which)
            for start in range(0, len(rows), _ROWS):
                part = rows[start : start + _ROWS]
                x = torch.as_tensor(self.x[part], dtype=torch.float32)
                data: Data = x
                if self.genotypes is not None:
                    data = GenotypeRows(x, self.genotypes, torch.from_numpy(part))
                yield part, data, None if excess is None else torch.as_tensor(excess[part])


def encode(
    model: LatentModel, components: Components, samples: Sequence[str], seed: int, device: torch.device
) -> Embedding:
    """Embed samples.

    Args:
        model: Trained.
        components: Of the samples.
        samples: Identifiers, shape (n_samples,).
        seed: Of the draws.
        device: Where to compute.

    Returns:
        Posterior means and standard deviations; without a density of the posterior, where the encoder puts each sample,
        and no standard deviations. Clusters are modes of the prior, numbered from 1 by falling weight.
        Misfit is the squared distance of x from the decoded mean in units of its noise, for each component.
    """
    model = model.to(device)
    n, d = len(components.x), model.config.latent_dim
    mean, std = np.empty((n, d)), np.empty((n, d))
    cluster, probability, misfit = np.empty(n, dtype=np.int64), np.empty(n), np.empty(n)
    for rows, data, excess in components.parts():
        x = data.to(device)
        sample = _draws(model, x, seed, excess)
        weights = sample.weights[..., None]
        with torch.no_grad():
            centre = (weights * sample.z).sum(0)
            spread = (weights * (sample.z - centre).square()).sum(0).sqrt()
            shares = (weights * model.prior.cluster_probabilities(sample.z)).sum(0)
            whitener = None if excess is None else model.likelihood.whitener(excess)
            distance = model.likelihood.misfit(x, centre, whitener) / components.x.shape[1]
        best, which = shares.max(dim=1)
        mean[rows], std[rows] = centre.cpu().numpy(), spread.cpu().numpy()
        cluster[rows], misfit[rows] = which.cpu().numpy() + 1, distance.cpu().numpy()
        probability[rows] = best.clamp(max=1).cpu().numpy()  # sums of float32 weights reach 1.000001
    return Embedding(
        samples=tuple(samples),
        mean=mean,
        std=std if model.config.has_density else None,
        cluster=cluster,
        cluster_prob=probability,
        missing=np.asarray(components.missing, dtype=np.float64),
        misfit=misfit,
        method=model.config.posterior,
    )


def class_probabilities(model: LatentModel, components: Components, seed: int, device: torch.device) -> np.ndarray:
    """p(class | x) of samples under a model that was trained with classes, shape (n_samples, C), float64."""
    model = model.to(device)
    found = np.empty((len(components.x), model.config.classes))
    for rows, data, excess in components.parts():
        sample = _draws(model, data.to(device), seed, excess)
        with torch.no_grad():
            each = model.class_log_probabilities(sample.z).exp()
            found[rows] = (sample.weights[..., None] * each).sum(0).cpu().numpy()
    return found


def _draws(model: LatentModel, x: Data, seed: int, excess: Tensor | None) -> ImportanceSample:
    if model.config.has_density:
        return model.posterior_sample(x, DRAWS, seed, excess)
    z = model.locate(x, excess)[None]
    return ImportanceSample(z, torch.zeros_like(z[..., 0]))
