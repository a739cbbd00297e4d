"""What an evaluation hands back: an embedding in numbers, as JSON-ready values and as rows of a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class ReadOut:
    """What is read off an embedding about each sample that one column labels.

    Attributes:
        column: Name of the column.
        rows: Places of these samples in the embedding, shape (n,), int64.
        labels: Their labels, shape (n,), object (str).
        neighbours: Label that the majority of their ``k`` nearest neighbours in other folds has, shape (n,), object
            (str); "" where nobody else has the sample's own label, which no neighbour could tell.
        k: Neighbours asked.
        mixture: Component of a Gaussian mixture that is fitted to the embedding, shape (n,), int.
        clusters: The embedding's own clusters, shape (n,), int; None where it has none.
    """

    column: str
    rows: np.ndarray
    labels: np.ndarray
    neighbours: np.ndarray
    k: int
    mixture: np.ndarray
    clusters: np.ndarray | None

    @property
    def told(self) -> np.ndarray:
        """Whether neighbours can tell a sample's label, shape (n,), bool."""
        return np.asarray(self.neighbours != "")

    @property
    def accuracy(self) -> float:
        """Share of those samples that their neighbours label rightly."""
        told = self.told
        return float((self.neighbours[told] == self.labels[told]).sum() / told.sum())


@dataclass(frozen=True)
class ReadOuts:
    """Both read-outs of one embedding.

    Attributes:
        mixture_components: Components of the mixture.
        populations: By population.
        groups: By super-population; None where there are none.
    """

    mixture_components: int
    populations: ReadOut
    groups: ReadOut | None


@dataclass(frozen=True)
class Agreement:
    """Clusters against labels; every measure is 1 when they are the same partition.

    Attributes:
        n_clusters: Clusters that hold any sample.
        purity: Share of samples that have the most frequent label of their cluster.
        completeness: How much samples of one label share a cluster.
        nmi: Normalised mutual information, arithmetic mean.
        ami: Adjusted mutual information.
        ari: Adjusted Rand index.
    """

    n_clusters: int
    purity: float
    completeness: float
    nmi: float
    ami: float
    ari: float


@dataclass(frozen=True)
class LabelScores:
    """An embedding against one column of labels.

    Attributes:
        column: Name of the column.
        n_labels: Different labels.
        n_samples: Samples that have one.
        knn_accuracy: Cross-validated accuracy of ``knn_k`` nearest neighbours.
        knn_k: Neighbours asked; fewer than 20 where populations are small.
        mixture: Read-out by a Gaussian mixture that is fitted to the embedding.
        clusters: The embedding's own clusters, None where it has none.
    """

    column: str
    n_labels: int
    n_samples: int
    knn_accuracy: float
    knn_k: int
    mixture: Agreement
    clusters: Agreement | None


@dataclass(frozen=True)
class Scores:
    """All read-outs of one embedding.

    Attributes:
        method: Name of the embedding.
        n_dimensions: Its axes.
        n_samples: Samples that have a population.
        n_unlabelled: Samples without one, left out.
        mixture_components: Components of the mixture read-out.
        populations: Against populations.
        groups: Against super-populations, None where there are none.
        trustworthiness: Against the reference, None without one.
        continuity: Against the reference, None without one.
        fst_correlation: Spearman correlation of distances between population centroids with F_ST, None without F_ST.
    """

    method: str
    n_dimensions: int
    n_samples: int
    n_unlabelled: int
    mixture_components: int
    populations: LabelScores
    groups: LabelScores | None = None
    trustworthiness: float | None = None
    continuity: float | None = None
    fst_correlation: float | None = None

    def to_dict(self) -> dict[str, object]:
        """The scores as nested JSON-ready values; None where something was not measured."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str, str]]:
        """Rows of a table: measure, value for populations, value for groups ("" where there is none)."""
        both = [self.populations] + ([self.groups] if self.groups else [])

        def row(name: str, *values: object) -> tuple[str, str, str]:
            cells = [f"{v:z.3f}" if isinstance(v, float) else str(v) for v in values]
            return name, cells[0], cells[1] if len(cells) > 1 else ""

        rows = [
            row("column", *(s.column for s in both)),
            row("labels", *(s.n_labels for s in both)),
            row("samples", *(s.n_samples for s in both)),
            row("nearest neighbours asked", *(s.knn_k for s in both)),
            row("nearest-neighbour accuracy", *(s.knn_accuracy for s in both)),
        ]
        read_outs = {f"mixture of {self.mixture_components}": [s.mixture for s in both]}
        if self.populations.clusters is not None:
            own = [s.clusters for s in both if s.clusters is not None]
            read_outs[f"own {own[0].n_clusters} clusters"] = own
        for title, agreements in read_outs.items():
            for measure in ("purity", "completeness", "nmi", "ami", "ari"):
                name = measure if len(measure) > 3 else measure.upper()
                rows.append(row(f"{name}, {title}", *(getattr(a, measure) for a in agreements)))
        if self.trustworthiness is not None and self.continuity is not None:
            rows += [row("trustworthiness", self.trustworthiness), row("continuity", self.continuity)]
        if self.fst_correlation is not None:
            rows.append(row("rank correlation of centroid distances with F_ST", self.fst_correlation))
        return rows


@dataclass(frozen=True)
class Transfer:
    """New samples judged by the training samples nearest to them.

    Attributes:
        accuracy: Share of test samples whose label the majority of ``k`` nearest training samples has.
        k: Neighbours asked.
        n_train: Labelled training samples.
        n_test: Test samples judged.
        n_left_out: Test samples without a label, or with one that no training sample has.
    """

    accuracy: float
    k: int
    n_train: int
    n_test: int
    n_left_out: int

    def row(self) -> tuple[str, str, str]:
        """The accuracy as a row of the table of ``Scores.rows``."""
        return f"accuracy by {self.k} nearest of {self.n_train} training samples", f"{self.accuracy:.3f}", ""
