"""What the pipeline hands back: the outcome of a training run, of an embedding, of a measurement of bounds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from genovi.bounds import Bounds, measure
from genovi.embedding import Embedding
from genovi.genotypes.matching import VariantMatch
from genovi.genotypes.quality import QCReport
from genovi.model.rows import Data
from genovi.provenance import Provenance
from genovi.trained import TrainedModel
from genovi.training.outcome import Fit

BOUND_DRAWS = 64


def measure_bounds(fit: Fit, x: Data, seed: int) -> Bounds:
    """Bounds of the held-out rows of ``x``, or of all rows where none are held out."""
    held_out = len(fit.held_out) > 0
    rows = fit.held_out if held_out else np.arange(len(x))
    found = measure(fit.model, x[torch.from_numpy(rows)], BOUND_DRAWS, seed)
    return Bounds.of(found, "held-out" if held_out else "training", len(rows))


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
        bounds: How well the model describes samples that it was not trained on (their labels, with --semi-supervised,
            it was).
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
            self.bounds.line(),
            *([] if self.model.axes.noise.significant else ["no structure found: positions and clusters are chance"]),
            f"{self.provenance.wall_seconds:.0f} s, {self.provenance.peak_memory_mib:.0f} MiB; wrote {self.out}",
        ]


@dataclass(frozen=True)
class Placed:
    """New samples where a model places them.

    Attributes:
        embedding: The embedding.
        match: How the model's variants were found.
        again: Samples that the model was trained on, shape (n_samples,), bool.
        odd: Samples unlike the training samples, shape (n_samples,), bool.
        sparse: Number of samples that lack more than half of the model's variants.
        classes: Most similar class of each sample, under a model that was trained with classes (--semi-supervised).
    """

    embedding: Embedding
    match: VariantMatch
    again: np.ndarray
    odd: np.ndarray
    sparse: int
    classes: pd.DataFrame | None


@dataclass(frozen=True)
class EmbedSummary(Placed):
    """What embedding new samples made.

    Attributes:
        files: Files written.
        provenance: The finished record.
    """

    files: tuple[Path, ...]
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


@dataclass(frozen=True)
class BoundsSummary:
    """What measuring bounds on an input found.

    Attributes:
        bounds: Means over the input's samples.
        match: How the model's variants were found.
        provenance: The finished record.
    """

    bounds: Bounds
    match: VariantMatch
    provenance: Provenance

    def to_dict(self) -> dict[str, object]:
        """JSON-ready values."""
        return {"bounds": self.bounds.to_dict(), "provenance": self.provenance.to_dict()}

    def lines(self) -> list[str]:
        """For people to read."""
        rows = [("nats per sample", "mean", "standard error")]
        rows += [(name, f"{value:.3f}", "" if e is None else f"{e:.3f}") for name, value, e in self.bounds.rows()]
        widths = [max(len(row[j]) for row in rows) for j in range(3)]
        table = [f"{name:<{widths[0]}}  {a:>{widths[1]}}  {b:>{widths[2]}}".rstrip() for name, a, b in rows]
        lines = [f"{self.bounds.n} samples with {self.match.describe()}", *table]
        if self.bounds.elbo is None:
            lines.append("no bounds: the posterior of this model has no density")
        if self.bounds.log_evidence is None:
            lines.append("no log p(x): quadrature needs at most two latent dimensions")
        if self.bounds.unresolved:
            lines.append(f"the quadrature of {self.bounds.unresolved} samples did not settle: log p(x) is approximate")
        return lines
