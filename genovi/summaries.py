"""What the pipeline hands back: the outcome of a training run, of an embedding, and the bounds of a model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from genovi.embedding import Embedding
from genovi.genotypes.matching import VariantMatch
from genovi.genotypes.quality import QCReport
from genovi.provenance import Provenance
from genovi.trained import TrainedModel
from genovi.training.loop import Fit

BOUND_DRAWS = 64


@dataclass(frozen=True)
class Bounds:
    """Lower bounds of log p(x), means in nats per sample.

    Attributes:
        on: "held-out" samples, or "training" ones where none were held out.
        n: Number of samples.
        elbo: Evidence lower bound E_q[w].
        iwae: Importance-weighted bound of ``draws`` draws.
        draws: K.
        effective_size: Median effective sample size of those draws, in [1, K].
    """

    on: str
    n: int
    elbo: float
    iwae: float
    draws: int
    effective_size: float

    def to_dict(self) -> dict[str, str | int | float]:
        """JSON-ready values."""
        return asdict(self)


def measure_bounds(fit: Fit, x: np.ndarray, seed: int) -> Bounds:
    """Bounds of the held-out rows of ``x``, shape (n, k), or of all rows where none are held out."""
    held_out = len(fit.held_out) > 0
    rows = fit.held_out if held_out else np.arange(len(x))
    sample = fit.model.importance_sample(torch.as_tensor(x[rows], dtype=torch.float32), BOUND_DRAWS, seed)
    return Bounds(
        on="held-out" if held_out else "training",
        n=len(rows),
        elbo=float(sample.elbo.mean()),
        iwae=float(sample.iwae.mean()),
        draws=BOUND_DRAWS,
        effective_size=float(sample.effective_size.median()),
    )


@dataclass(frozen=True)
class TrainSummary:
    """What a training run made.

    Attributes:
        out: The folder.
        model: The trained model.
        embedding: Embedding of the training samples, and of those that --king-cutoff left out of training.
        left_out: Which samples of the embedding are the latter, shape (n_samples,), bool.
        fit: Training history.
        qc: Quality control.
        bounds: How well the model describes samples that it was not trained on.
        provenance: The finished record.
    """

    out: Path
    model: TrainedModel
    embedding: Embedding
    left_out: np.ndarray
    fit: Fit
    qc: QCReport
    bounds: Bounds
    provenance: Provenance

    def lines(self) -> list[str]:
        """For people to read."""
        n, m = self.model.axes.n_samples, len(self.model.standardiser.variants)
        n_out = int(self.left_out.sum())
        return [
            f"trained on {n} samples x {m} variants, {self.model.axes.n_axes} principal components "
            f"({self.model.axes.noise.significant} above the noise), {len(self.fit.history)} epochs "
            f"({self.fit.reason})",
            *([f"embedded {n_out} relatives of them afterwards"] if n_out else []),
            f"{self.bounds.on} bound {self.bounds.elbo:.2f} nats per sample, "
            f"importance-weighted {self.bounds.iwae:.2f}",
            f"{self.provenance.wall_seconds:.0f} s, {self.provenance.peak_memory_mib:.0f} MiB; wrote {self.out}",
        ]


@dataclass(frozen=True)
class EmbedSummary:
    """What embedding new samples made.

    Attributes:
        files: Files written.
        embedding: The embedding.
        match: How the model's variants were found.
        again: Samples that the model was trained on, shape (n_samples,), bool.
        odd: Samples unlike the training samples, shape (n_samples,), bool.
        sparse: Number of samples that lack more than half of the model's variants.
        provenance: The finished record.
    """

    files: tuple[Path, ...]
    embedding: Embedding
    match: VariantMatch
    again: np.ndarray
    odd: np.ndarray
    sparse: int
    provenance: Provenance

    def lines(self) -> list[str]:
        """For people to read."""
        return [
            f"embedded {len(self.embedding.samples)} samples with {self.match.describe()}",
            *(f"{count} of them {what}" for count, what in self._notes() if count),
            f"{self.provenance.wall_seconds:.0f} s; wrote {', '.join(str(f) for f in self.files)}",
        ]

    def _notes(self) -> list[tuple[int, str]]:
        return [
            (int(self.again.sum()), "are training samples and keep their positions"),
            (self.sparse, "lack more than half of the model's variants"),
            (int(self.odd.sum()), "are unlike the training samples"),
        ]
