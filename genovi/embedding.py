"""Embedding: low-dimensional coordinates of samples, with posterior spread, clusters and missingness.

The type that every judge and plot works on, whatever method made it. Reading one never loads torch.

File format (``.embedding.tsv``): tab-separated UTF-8 without quoting, one header line, one row per sample in input
order, columns ``IID``, ``Z1..Zd``, ``SD1..SDd`` (posterior standard deviations; absent for methods that have none),
``CLUSTER`` (numbered from 1), ``CLUSTER_PROB``, ``MISSING`` (share of the model's variants that is missing) and
``MISFIT`` (how far a sample's components are from what the model expects at its position). Other columns are ignored.
"""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genovi.errors import ConfigError, DataError
from genovi.files import atomic_path
from genovi.modelfiles import EMBEDDING, has_member, read_member

_ROWS_SHOWN = 8  # in a notebook
_FIX = "give the .embedding.tsv that genovi train or genovi embed wrote"


@dataclass(frozen=True)
class Embedding:
    """Samples on latent axes.

    Attributes:
        samples: Sample identifiers, unique, without tabs and line breaks, in input order.
        mean: Posterior means z, shape (n_samples, d), float64, in units of the latent prior.
        std: Posterior standard deviations, same shape, or None where the method has no posterior.
        cluster: Most probable mode of the prior, numbered from 1, shape (n_samples,), int64, or None.
        cluster_prob: Its posterior probability, shape (n_samples,), float64, or None.
        missing: Share of the model's variants that is missing, shape (n_samples,), float64, or None.
        misfit: Mean squared distance of the sample's components from those decoded from its position, in units of
            their noise, shape (n_samples,), float64, or None. About 1 where the model describes the sample.
        method: Name of the method, e.g. "ddvi", "umap".
        axis: Name of an axis without its number: "Z", or "PC" of principal components by another program.

    Raises:
        DataError: shapes disagree, or sample identifiers are repeated or cannot be written to a table.
    """

    samples: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray | None = None
    cluster: np.ndarray | None = None
    cluster_prob: np.ndarray | None = None
    missing: np.ndarray | None = None
    misfit: np.ndarray | None = None
    method: str = "embedding"
    axis: str = "Z"

    def __post_init__(self) -> None:
        n = len(self.samples)
        if self.mean.ndim != 2 or self.mean.shape[0] != n or self.mean.shape[1] < 1:
            raise DataError(f"coordinates have shape {self.mean.shape}, expected ({n}, d)", where=self.method)
        expected = dict.fromkeys(("cluster", "cluster_prob", "missing", "misfit"), (n,))
        for name, shape in {"std": self.mean.shape, **expected}.items():
            values = getattr(self, name)
            if values is not None and values.shape != shape:
                raise DataError(f"{name} has shape {values.shape}, expected {shape}", where=self.method)
        seen: set[str] = set()
        for sample in self.samples:
            if sample in seen:
                raise DataError(
                    "duplicate sample", where=f"{self.method}, {sample}", fix="keep one row for each sample"
                )
            if not sample or re.search(r"[\t\r\n]", sample):
                raise DataError(
                    "sample identifier is empty or holds a tab or a line break", where=f"{self.method}, {sample!r}"
                )
            seen.add(sample)

    @property
    def n_dimensions(self) -> int:
        """Number d of latent axes."""
        return self.mean.shape[1]

    @staticmethod
    def concatenate(parts: Sequence[Embedding]) -> Embedding:
        """Embeddings of different samples by one method, one after another."""
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("mean", "std", "cluster", "cluster_prob", "missing", "misfit")
            if getattr(parts[0], name) is not None
        }
        samples = tuple(sample for part in parts for sample in part.samples)
        return Embedding(samples, **columns, method=parts[0].method, axis=parts[0].axis)

    def take(self, index: np.ndarray) -> Embedding:
        """The samples at ``index`` (integers), in that order."""
        columns = {
            name: values[index]
            for name in ("mean", "std", "cluster", "cluster_prob", "missing", "misfit")
            if (values := getattr(self, name)) is not None
        }
        return replace(self, samples=tuple(self.samples[i] for i in index), **columns)

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
        if self.misfit is not None:
            columns["MISFIT"] = self.misfit
        return pd.DataFrame(columns)

    def to_frame(self) -> pd.DataFrame:
        """The table with sample identifiers as its index."""
        return self.table().set_index("IID")

    def to_anndata(self) -> Any:
        """An ``anndata.AnnData``: coordinates in ``obsm["X_genovi"]`` and ``obsm["X_genovi_sd"]``, the rest in ``obs``.

        Raises:
            ConfigError: the package anndata is not installed.
        """
        try:
            from anndata import AnnData
        except ImportError:
            raise ConfigError("anndata is not installed", fix="pip install 'genovi-popgen[anndata]'") from None
        axes = [name for name in self.to_frame().columns if re.fullmatch(r"(Z|SD)\d+", name)]
        found = AnnData(obs=self.to_frame().drop(columns=axes))
        found.obsm["X_genovi"] = self.mean
        if self.std is not None:
            found.obsm["X_genovi_sd"] = self.std
        return found

    def _repr_html_(self) -> str:
        rows = self.to_frame().head(_ROWS_SHOWN).to_html()
        return f"<p>genovi embedding ({html.escape(self.method)}), {len(self.samples):,} samples</p>{rows}"

    def write_tsv(self, path: Path) -> None:
        """Write the file format described above, six significant digits."""
        _write_table(self.table(), Path(path))

    def write_eigenvec(self, path: Path) -> None:
        """Write a plink2-style ``.eigenvec`` (``#IID PC1..PCd``) for tools that take covariates from it."""
        table = pd.DataFrame(self.mean, columns=[f"PC{j + 1}" for j in range(self.n_dimensions)])
        table.insert(0, "#IID", list(self.samples))
        _write_table(table, Path(path))

    @staticmethod
    def read_tsv(path: Path) -> Embedding:
        """Read an embedding file, or principal components in the form of ``plink2 --pca`` (``.eigenvec``).

        Raises:
            DataError: no such file, no ``IID`` or ``Z1`` column, rows of different lengths, no samples, duplicate
                samples, or values that are no finite numbers or out of range.
        """
        path = Path(path)
        return Embedding.parse(_read_text(path), path)

    @staticmethod
    def parse(text: str, path: Path) -> Embedding:
        """``read_tsv`` of a file whose text is known; errors name it ``path``."""
        table = _table_of(text, path).rename(columns={"#IID": "IID"})
        axis = "PC" if "PC1" in table and "Z1" not in table else "Z"
        d = sum(re.fullmatch(rf"{axis}[1-9]\d*", column) is not None for column in table.columns)
        axes = [f"{axis}{j + 1}" for j in range(d)]
        spreads = [f"SD{j + 1}" for j in range(d)]
        present = [column in table for column in spreads]
        needed = ["IID", *(axes or ["Z1"]), *(spreads if any(present) else [])]
        absent = [column for column in needed if column not in table]
        if absent:
            raise DataError(
                "not an embedding file",
                where=path,
                why=f"no column {absent[0]}, found {', '.join(table.columns[:8])}",
                fix=_FIX,
            )
        repeated = table["IID"].duplicated() | (table["IID"] == "")
        if repeated.any():
            row = int(repeated.argmax())
            problem = "duplicate sample" if table["IID"][row] else "sample without a name"
            where = f"{path}, line {row + 2}, sample {table['IID'][row]!r}"
            raise DataError(problem, where=where, fix="keep one row for each sample")
        cluster = _optional(table, "CLUSTER", path, 1, np.inf)
        if cluster is not None and (cluster % 1).any():
            raise _bad_value(table, int(np.argmax(cluster % 1 != 0)), "CLUSTER", "is not a whole number", path)
        return Embedding(
            samples=tuple(table["IID"]),
            mean=_numbers(table, axes, path),
            std=_numbers(table, spreads, path, least=0) if any(present) else None,
            cluster=None if cluster is None else cluster.astype(np.int64),
            cluster_prob=_optional(table, "CLUSTER_PROB", path, 0, 1),
            missing=_optional(table, "MISSING", path, 0, 1),
            misfit=_optional(table, "MISFIT", path, 0, np.inf),
            method=path.name.removesuffix(".tsv").removesuffix(".embedding").removesuffix(".eigenvec"),
            axis=axis,
        )


def embedding_of(run: Path) -> Embedding:
    """Embedding of the training samples of the model at ``run``, a folder or a file.

    Raises:
        DataError: there is none, or it is damaged.
    """
    if run.is_dir():
        return Embedding.read_tsv(run / EMBEDDING)
    if not has_member(run, EMBEDDING):
        raise DataError(
            "no embedding in this export",
            where=run,
            why="it was written without the embedding of its training samples, which names them",
            fix="give the folder of genovi train, or write it with genovi export RUN --keep-embedding --out FILE",
        )
    try:
        text = read_member(run, EMBEDDING).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError("not an embedding file", where=f"{run}: {EMBEDDING}", why="it is not text") from None
    return Embedding.parse(text.replace("\r\n", "\n"), run / EMBEDDING)


def _write_table(table: pd.DataFrame, path: Path) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(
            temporary,
            sep="\t",
            index=False,
            float_format="%.6g",
            lineterminator="\n",
            quoting=csv.QUOTE_NONE,
            encoding="utf-8",
            compression=None,
        )


def _read_text(path: Path) -> str:
    if path.is_dir():
        inside = path / EMBEDDING
        fix = f"type {inside}" if inside.is_file() else _FIX
        raise DataError("this is a folder, not an embedding file", where=path, fix=fix)
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError("no such file", where=path, fix="check the path") from None
    except OSError as error:
        raise DataError("cannot read", where=path, why=error.strerror, fix="check the path and permissions") from error
    except UnicodeDecodeError:
        raise DataError("not an embedding file", where=path, why="it is not text", fix=_FIX) from None


def _table_of(text: str, path: Path) -> pd.DataFrame:
    """The text as cells; by hand, because pandas repairs ragged rows and repeated columns in silence."""
    lines = text.split("\n")  # read_text has turned \r\n into \n; splitlines would also split at exotic characters
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) < 2:
        raise DataError("no samples", where=path, why="the file has no rows below its header", fix=_FIX)
    header = lines[0].split("\t")
    if len(set(header)) != len(header):
        raise DataError("a column is there twice", where=f"{path}, line 1", fix=_FIX)
    rows = [line.split("\t") for line in lines[1:]]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise DataError(
                f"{len(row)} fields where the header has {len(header)}",
                where=f"{path}, line {number}",
                fix="separate fields by single tabs, and make the embedding again if it was cut off",
            )
    return pd.DataFrame(rows, columns=header, dtype=object)


def _numbers(
    table: pd.DataFrame, columns: list[str], path: Path, least: float = -np.inf, most: float = np.inf
) -> np.ndarray:
    """``columns`` as numbers in [least, most], shape (n_samples, n_columns), float64."""
    values = np.column_stack([pd.to_numeric(table[c], errors="coerce").to_numpy(np.float64) for c in columns])
    for bad, problem in (
        (~np.isfinite(values), "is not a finite number"),
        ((values < least) | (values > most), f"is not in [{least:g}, {most:g}]"),
    ):
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise _bad_value(table, int(row), columns[column], problem, path)
    return values


def _optional(table: pd.DataFrame, column: str, path: Path, least: float, most: float) -> np.ndarray | None:
    return _numbers(table, [column], path, least, most)[:, 0] if column in table else None


def _bad_value(table: pd.DataFrame, row: int, column: str, problem: str, path: Path) -> DataError:
    return DataError(
        f"{column} {problem}: {str(table[column].iloc[row])[:40]!r}",
        where=f"{path}, line {row + 2}, sample {table['IID'].iloc[row]}",
        fix="remove that sample or make the embedding again",
    )
