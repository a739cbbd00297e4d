"""What the fits of one protocol are given, in one file, which is read without loading torch.

    DIR/data/seeds.npz      everybody
    DIR/data/split1.npz     four fifths of the people, and the other fifth projected onto their axes

Files are NumPy archives without pickled objects.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from genovi.comparison.cells import INDUCTIVE, Cell
from genovi.files import atomic_path
from genovi.labels import SampleLabels


@dataclass(frozen=True)
class People:
    """Samples on the axes that all methods share.

    Attributes:
        samples: Identifiers.
        populations: Population of each, "" where there is none, shape (n,), str.
        groups: What populations belong to, likewise; shape (0,) where there is no such column.
        x: Noise-scaled principal components, shape (n, k), float64.
        missing: Share of the sites missing in each, shape (n,), float64.
        excess: Covariance that missing genotypes add to x, shape (n, k, k), float64; shape (0,) where none is missing.
    """

    samples: np.ndarray
    populations: np.ndarray
    groups: np.ndarray
    x: np.ndarray
    missing: np.ndarray
    excess: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        """Identifiers as strings."""
        return tuple(self.samples.tolist())

    @property
    def labels(self) -> SampleLabels:
        """Columns ``pop`` and, where there are groups, ``super_pop``."""
        columns = {"pop": tuple(self.populations.tolist())}
        if self.groups.size:
            columns["super_pop"] = tuple(self.groups.tolist())
        return SampleLabels(self.names, columns)


@dataclass(frozen=True)
class CellData:
    """What the cells of one fit are given.

    Attributes:
        fitted: Who is in the fit.
        new: Who is not; None in the transductive protocol.
        noise_floor: Standard deviation of the noise in each component, shape (k,), float64.
        reference: Components that neighbourhoods are compared with, of complete genotypes, shape (n, m), float64;
            shape (0,) in the inductive protocol.
        fst_populations: Populations of ``fst``, shape (p,), str.
        fst: Hudson's F_ST between them, shape (p, p), float64; shape (0,) where there is none.
        n_sites: Sites of the components.
        seconds: What quality control and components took.
    """

    fitted: People
    new: People | None
    noise_floor: np.ndarray
    reference: np.ndarray
    fst_populations: np.ndarray
    fst: np.ndarray
    n_sites: int
    seconds: float

    def save(self, path: Path) -> None:
        """Write all arrays into one file."""
        arrays = {name: getattr(self, name) for name in ("noise_floor", "reference", "fst_populations", "fst")}
        arrays |= {"n_sites": np.array(self.n_sites), "seconds": np.array(self.seconds)}
        for part in ("fitted", "new"):
            people = getattr(self, part)
            if people is not None:
                arrays |= {f"{part}.{f.name}": getattr(people, f.name) for f in fields(People)}
        with atomic_path(path) as temporary:
            np.savez(temporary, **arrays)

    @staticmethod
    def load(path: Path) -> CellData:
        """Read them back."""
        with np.load(path, allow_pickle=False) as archive:
            people = {
                part: People(**{f.name: archive[f"{part}.{f.name}"] for f in fields(People)})
                for part in ("fitted", "new")
                if f"{part}.x" in archive
            }
            names = ("noise_floor", "reference", "fst_populations", "fst")
            arrays = {name: archive[name] for name in names}
            n_sites, seconds = int(archive["n_sites"]), float(archive["seconds"])
            return CellData(people["fitted"], people.get("new"), **arrays, n_sites=n_sites, seconds=seconds)


def data_of(out: Path, cell: Cell) -> Path:
    """File with what a cell is given."""
    return out / "data" / (f"split{cell.number}.npz" if cell.protocol == INDUCTIVE else "seeds.npz")
