"""Embedding: low-dimensional coordinates of samples, with posterior spread, clusters and missingness.

The type that every judge and plot works on, whatever method made it. Reading one never loads torch.

File format (``.embedding.tsv``): tab-separated, one header line, one row per sample in input order, columns
``IID``, ``Z1..Zd``, ``SD1..SDd`` (posterior standard deviations; absent for methods that have none), ``CLUSTER``
(numbered from 1), ``CLUSTER_PROB`` and ``MISSING`` (share of the model's variants that is missing).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from genovi.errors import DataError
from genovi.files import atomic_path


@dataclass(frozen=True)
class Embedding:
    """Samples on latent axes.

    Attributes:
        samples: Sample identifiers, unique, in input order.
        mean: Posterior means z, shape (n_samples, d), float64, in units of the latent prior.
        std: Posterior standard deviations, same shape, or None where the method has no posterior.
        cluster: Most probable prior component, numbered from 1, shape (n_samples,), int64, or None.
        cluster_prob: Its posterior probability, shape (n_samples,), float64, or None.
        missing: Share of the model's variants that is missing, shape (n_samples,), float64, or None.
        method: Name of the method, e.g. "ddvi", "umap".
    """

    samples: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray | None = None
    cluster: np.ndarray | None = None
    cluster_prob: np.ndarray | None = None
    missing: np.ndarray | None = None
    method: str = "embedding"

    @property
    def n_dimensions(self) -> int:
        return self.mean.shape[1]

    def table(self) -> pd.DataFrame:
        """The embedding as a table with the columns of the file format."""
        columns: dict[str, object] = {"IID": list(self.samples)}
        columns |= {f"Z{j + 1}": self.mean[:, j] for j in range(self.n_dimensions)}
        if self.std is not None:
            columns |= {f"SD{j + 1}": self.std[:, j] for j in range(self.n_dimensions)}
        if self.cluster is not None:
            columns["CLUSTER"] = self.cluster
        if self.cluster_prob is not None:
            columns["CLUSTER_PROB"] = self.cluster_prob
        if self.missing is not None:
            columns["MISSING"] = self.missing
        return pd.DataFrame(columns)

    def write_tsv(self, path: Path) -> None:
        """Write the file format described above, six significant digits."""
        with atomic_path(Path(path)) as temporary:
            self.table().to_csv(temporary, sep="\t", index=False, float_format="%.6g", lineterminator="\n")

    def write_eigenvec(self, path: Path) -> None:
        """Write a plink2-style ``.eigenvec`` (``#IID PC1..PCd``) for tools that take covariates from it."""
        table = pd.DataFrame(self.mean, columns=[f"PC{j + 1}" for j in range(self.n_dimensions)])
        table.insert(0, "#IID", list(self.samples))
        with atomic_path(Path(path)) as temporary:
            table.to_csv(temporary, sep="\t", index=False, float_format="%.6g", lineterminator="\n")

    @staticmethod
    def read_tsv(path: Path) -> Embedding:
        """Read an embedding file.

        Raises:
            DataError: no such file, no ``IID`` or ``Z1`` column, duplicate samples, or coordinates that are no
                finite numbers.
        """
        path = Path(path)
        table = _read_table(path)
        axes = sorted((c for c in table.columns if re.fullmatch(r"Z[1-9]\d*", c)), key=lambda c: int(c[1:]))
        if "IID" not in table.columns or not axes:
            raise DataError(
                "not an embedding file",
                where=path,
                why=f"columns IID and Z1 are needed, found {', '.join(table.columns[:8])}",
                fix="give the .embedding.tsv that genovi train or genovi embed wrote",
            )
        mean = _numbers(table, axes, path)
        spreads = [f"SD{c[1:]}" for c in axes]
        has_std = all(c in table.columns for c in spreads)
        samples = tuple(table["IID"])
        if len(set(samples)) != len(samples):
            repeated = table["IID"][table["IID"].duplicated()].iloc[0]
            raise DataError("duplicate sample", where=f"{path}, {repeated}", fix="keep one row for each sample")
        return Embedding(
            samples=samples,
            mean=mean,
            std=_numbers(table, spreads, path) if has_std else None,
            cluster=_numbers(table, ["CLUSTER"], path)[:, 0].astype(np.int64) if "CLUSTER" in table else None,
            cluster_prob=_numbers(table, ["CLUSTER_PROB"], path)[:, 0] if "CLUSTER_PROB" in table else None,
            missing=_numbers(table, ["MISSING"], path)[:, 0] if "MISSING" in table else None,
            method=path.name.removesuffix(".tsv").removesuffix(".embedding"),
        )


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise DataError("no such file", where=path, fix="check the path") from None
    except (OSError, UnicodeDecodeError, pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise DataError("not an embedding file", where=path, why=str(error)) from error


def _numbers(table: pd.DataFrame, columns: list[str], path: Path) -> np.ndarray:
    values = np.column_stack([pd.to_numeric(table[c], errors="coerce").to_numpy(np.float64) for c in columns])
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        raise DataError(
            f"{columns[column]} is not a finite number",
            where=f"{path}, line {row + 2}, sample {table['IID'].iloc[row]}",
            fix="remove that sample or make the embedding again",
        )
    return values
