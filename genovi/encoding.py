"""From a sample's principal components to its row of an embedding.

The posterior is summarised with importance weights v_k over K draws z_k, first from q(z|x), then from a Gaussian where
those say that it lies (see genovi.model.importance):

    mean = sum_k v_k z_k,      std^2 = sum_k v_k (z_k - mean)^2,      p(cluster) = sum_k v_k p(cluster | z_k)

so what is reported tends to the posterior p(z|x) of the model itself as K grows, and the encoder's own error drops
out. All samples share the same noise: a sample's row does not depend on which others are there, or on their order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from genovi.embedding import Embedding
from genovi.model.vae import LatentModel

DRAWS = 256


def encode(
    model: LatentModel, x: np.ndarray, samples: Sequence[str], missing: np.ndarray, seed: int, device: torch.device
) -> Embedding:
    """Embed samples.

    Args:
        model: Trained.
        x: Noise-scaled principal components, shape (n_samples, k).
        samples: Identifiers.
        missing: Share of the model's variants missing in each sample, shape (n_samples,).
        seed: Of the draws.
        device: Where to compute.

    Returns:
        Posterior means and standard deviations. Clusters are modes of the prior, numbered from 1 by falling weight.
    """
    model = model.to(device)
    data = torch.as_tensor(x, dtype=torch.float32)
    means, stds, clusters, probabilities = [], [], [], []
    for rows in data.split(4096):
        sample = model.posterior_sample(rows.to(device), DRAWS, seed)
        weights = sample.weights[..., None]
        mean = (weights * sample.z).sum(0)
        means.append(mean.cpu())
        stds.append((weights * (sample.z - mean).square()).sum(0).sqrt().cpu())
        with torch.no_grad():
            shares = (weights * model.prior.cluster_probabilities(sample.z)).sum(0)
        probability, cluster = shares.max(dim=1)
        clusters.append(cluster.cpu().numpy() + 1)
        probabilities.append(probability.clamp(max=1).cpu())  # sums of float32 weights reach 1.000001
    return Embedding(
        samples=tuple(samples),
        mean=torch.cat(means).numpy().astype(np.float64),
        std=torch.cat(stds).numpy().astype(np.float64),
        cluster=np.concatenate(clusters),
        cluster_prob=torch.cat(probabilities).numpy().astype(np.float64),
        missing=np.asarray(missing, dtype=np.float64),
        method=model.config.posterior,
    )
