"""Leading axes of many samples: block Krylov space against subspace iteration, both against the exact axes.

    python benchmarks/krylov.py INPUT... [--seeds 3] [--out DIR]

Each input is filtered as genovi train does and must be small enough for the exact decomposition of its Gram matrix.
"Columns" counts vectors that the Gram matrix is multiplied with, which is what the time goes to; "passes" how often the
genotypes are gone through. Errors are medians over seeds: of eigenvalues, the largest among the first so many; of an
axis, the sine of its angle to the space of the first hundred axes found.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from genovi.genotypes.filtering import apply_qc
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes
from genovi.ranks import ALONE
from genovi.structure import pca
from genovi.structure.standardise import Standardiser

_LEADING = (10, 20, 40)
_AXES = (5, 10, 15, 20, 40)
_KRYLOV = ((40, 8), (40, 10), (40, 12), (60, 8), (120, 4))
_SUBSPACE = ((120, 6), (120, 12))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="where to keep the tables")
    arguments = parser.parse_args()
    tables = [compare(path, arguments.seeds) for path in arguments.inputs]
    text = "\n".join(tables)
    print(text)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "krylov.md").write_text(text)


def compare(path: Path, seeds: int) -> str:
    """The table of one input."""
    matrix, _ = apply_qc(open_genotypes([path]), QCConfig(build="none"))
    standardiser = Standardiser.fit(matrix)
    gram = np.zeros((matrix.n_samples, matrix.n_samples), dtype=np.float32)
    for rows in pca.row_blocks(matrix):
        block = standardiser.transform(matrix, rows)
        gram += block.T @ block
    values, vectors = np.linalg.eigh(gram.astype(np.float64))
    values, vectors = values[::-1], vectors[:, ::-1]
    head = ["method", "columns", "passes", *(f"eigenvalues 1-{k}" for k in _LEADING), *(f"axis {j}" for j in _AXES)]
    lines = [f"**{path.stem}** ({matrix.n_samples:,} samples x {matrix.n_variants:,} variants)", ""]
    lines += ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]

    def krylov(start: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
        basis, small, _ = pca._krylov(matrix, standardiser, start, steps, ALONE)
        return ritz(small, basis)

    for name, function, sizes in (("subspace", partial(subspace, gram), _SUBSPACE), ("Krylov", krylov, _KRYLOV)):
        for width, steps in sizes:
            starts = [np.random.default_rng(seed).standard_normal((len(gram), width)) for seed in range(seeds)]
            found = [function(np.linalg.qr(start.astype(np.float32))[0], steps) for start in starts]
            errors = np.median([errors_of(one, values, vectors) for one in found], axis=0)
            passes = steps + (name == "subspace")  # the last for the values
            cells = [f"{name} {width} x {steps}", f"{passes * width}", f"{passes}", *(f"{e:.0e}" for e in errors)]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def errors_of(found: tuple[np.ndarray, np.ndarray], values: np.ndarray, vectors: np.ndarray) -> list[float]:
    """Errors of eigenvalues, then of axes."""
    there, axes = found
    first = axes[:, :100]
    of_values = [float(np.abs(there[:k] / values[:k] - 1).max()) for k in _LEADING]
    inside = [float(np.square(first.T @ vectors[:, j - 1]).sum()) for j in _AXES]
    return of_values + [np.sqrt(max(0.0, 1 - one)) for one in inside]


def subspace(gram: np.ndarray, basis: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Halko, Martinsson, Tropp (2011), algorithm 4.4: eigenvalues and axes."""
    for _ in range(steps):
        basis = np.linalg.qr(gram @ basis)[0]
    return ritz(basis.T @ (gram @ basis), basis)


def ritz(small: np.ndarray, basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rayleigh-Ritz: eigenvalues, largest first, and axes."""
    small = small.astype(np.float64)
    values, vectors = np.linalg.eigh((small + small.T) / 2)
    order = np.argsort(values)[::-1]
    return values[order], basis @ vectors[:, order]


if __name__ == "__main__":
    main()
