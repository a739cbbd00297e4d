"""Principal components of 2,504 samples x 66,793 SNPs: genovi against plink2 --pca 40, on the same PLINK files.

    python benchmarks/pca.py [--repeats 3] [--samples 2504] [--variants 66793] [--out DIR]

Genotypes are drawn from structured allele frequencies (five groups, F_ST 0.1, Balding-Nichols). Both programs read the
.bed file and compute 40 components of all samples; genovi also makes loadings and the noise floor. Runs alternate;
medians and the agreement of the leading components are printed as a Markdown table.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from genovi.genotypes.matrix import GenotypeMatrix, VariantTable, pack
from genovi.genotypes.writing import write_plink1

COMPONENTS = 40
_GENOVI = """
import sys, time
from pathlib import Path
import numpy as np
from genovi.genotypes.reading import open_genotypes
from genovi.seeding import Seeds
from genovi.structure.pca import fit_axes
from genovi.structure.standardise import Standardiser
start = time.perf_counter()
matrix = open_genotypes([Path(sys.argv[1])])
axes, scores = fit_axes(matrix, Standardiser.fit(matrix), int(sys.argv[2]), Seeds(1))
print(time.perf_counter() - start)
np.save(sys.argv[3], scores)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--samples", type=int, default=2504)
    parser.add_argument("--variants", type=int, default=66793)
    parser.add_argument("--out", type=Path, help="where to keep the table")
    arguments = parser.parse_args()
    plink2 = shutil.which("plink2")
    if plink2 is None:
        sys.exit("plink2 is not on PATH")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_plink1(simulate(arguments.samples, arguments.variants), work / "cohort")
        times: dict[str, list[float]] = {"genovi": [], "genovi, whole process": [], "plink2 --pca 40": []}
        for _ in range(arguments.repeats):
            start = time.perf_counter()
            inner = run(
                [sys.executable, "-c", _GENOVI, str(work / "cohort.bed"), str(COMPONENTS), str(work / "pcs.npy")]
            )
            times["genovi, whole process"].append(time.perf_counter() - start)
            times["genovi"].append(float(inner))
            start = time.perf_counter()
            run([plink2, "--bfile", str(work / "cohort"), "--pca", str(COMPONENTS), "--out", str(work / "plink2")])
            times["plink2 --pca 40"].append(time.perf_counter() - start)
        ours = np.load(work / "pcs.npy")[:, :4]
        theirs = pd.read_csv(work / "plink2.eigenvec", sep="\t").filter(like="PC").to_numpy()[:, :4]
        agreement = [abs(np.corrcoef(ours[:, j], theirs[:, j])[0, 1]) for j in range(4)]
    slowest = statistics.median(times["plink2 --pca 40"])
    lines = ["| program | median seconds | all runs | plink2's time over it |", "| --- | --- | --- | --- |"]
    for name, values in times.items():
        median = statistics.median(values)
        lines.append(f"| {name} | {median:.1f} | {', '.join(f'{v:.1f}' for v in values)} | {slowest / median:.1f} |")
    lines.append("")
    lines.append(f"Correlation of components 1 to 4 with plink2's: {', '.join(f'{a:.6f}' for a in agreement)}.")
    table = "\n".join(lines) + "\n"
    print(table)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "pca.md").write_text(table)


def simulate(n_samples: int, n_variants: int) -> GenotypeMatrix:
    """Five groups that drifted apart by F_ST 0.1 from ancestral frequencies uniform in [0.05, 0.95]."""
    generator = np.random.default_rng(1)
    group = np.arange(n_samples) % 5
    ancestral = generator.uniform(0.05, 0.95, n_variants)[:, None]
    concentration = (1 - 0.1) / 0.1
    frequency = generator.beta(ancestral * concentration, (1 - ancestral) * concentration, (n_variants, 5))
    packed = np.empty((n_variants, (n_samples + 3) // 4), dtype=np.uint8)
    for start in range(0, n_variants, 4096):
        block = frequency[start : start + 4096, group]
        packed[start : start + 4096] = pack(generator.binomial(2, block).astype(np.int8))
    names = np.array([f"snp{j}" for j in range(n_variants)], dtype=object)
    letters = np.full(n_variants, "A", dtype=object), np.full(n_variants, "G", dtype=object)
    chrom = np.array([str(1 + j * 22 // n_variants) for j in range(n_variants)], dtype=object)
    variants = VariantTable(chrom, np.arange(1, n_variants + 1), names, *letters)
    matrix = GenotypeMatrix(packed, tuple(f"S{i}" for i in range(n_samples)), variants)
    varies = np.concatenate([dosages.any(axis=1) & (dosages < 2).any(axis=1) for _, dosages in matrix.blocks()])
    return matrix.take_variants(varies)


def run(command: list[str]) -> str:
    """Run and return standard output; a failure ends the benchmark."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
