"""Pairs of close relatives: genovi's KING-robust against plink2 --make-king-table, on the same PLINK files.

    python benchmarks/kinship.py [--repeats 3] [--out DIR]

Data: 2,504 samples x 66,793 simulated SNPs of ``pca.py``, complete and with 2 % of the genotypes missing, and 1000
Genomes (kgp3) where $GENOVI_REAL_DATA has it. Both programs read the .bed file and report pairs with a kinship above
0.0884; both use two threads. Runs alternate. Seconds are those of the whole process, for genovi also those of the
estimate alone; processor time tells more than wall time on a machine that is shared. Then what the same counts
take as matrix products (BLAS): complete data need one, incomplete data five.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.linalg
from cohorts import DATA
from pca import simulate

from genovi.genotypes.matrix import GenotypeMatrix, pack
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.writing import write_plink1

CUTOFF = 0.0884
_GENOVI = """
import sys, time
from pathlib import Path
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.kinship import related_pairs
matrix = open_genotypes([Path(sys.argv[1])])
start, used = time.perf_counter(), time.process_time()
pairs = related_pairs(matrix, float(sys.argv[2]))
print(len(pairs), time.perf_counter() - start, time.process_time() - used)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="where to keep the table")
    arguments = parser.parse_args()
    plink2 = shutil.which("plink2")
    if plink2 is None:
        sys.exit("plink2 is not on PATH")
    lines = [
        "| data | program | pairs | wall seconds | processor seconds | all runs | plink2's processor time over it |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name, prefix in cohorts(Path(folder)).items():
            lines += compare(name, prefix, plink2, arguments.repeats, Path(folder))
            print("\n".join(lines[-4:]), flush=True)
    table = "\n".join(lines) + "\n"
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "kinship.md").write_text(table)


def cohorts(folder: Path) -> dict[str, Path]:
    """Filesets to compare on, by name."""
    matrix = simulate(2504, 66793)
    write_plink1(matrix, folder / "complete")
    write_plink1(with_gaps(matrix, 0.02), folder / "gaps")
    found = {"simulated": folder / "complete", "simulated, 2 % missing": folder / "gaps"}
    real = DATA / "kgp3" / "kgp3"
    return found | ({"kgp3": real} if real.with_suffix(".bed").exists() else {})


def with_gaps(matrix: GenotypeMatrix, share: float) -> GenotypeMatrix:
    generator = np.random.default_rng(2)
    packed = np.empty_like(matrix.packed)
    for rows, dosages in matrix.blocks():
        packed[rows] = pack(np.where(generator.random(dosages.shape, np.float32) < share, np.int8(-1), dosages))
    return GenotypeMatrix(packed, matrix.samples, matrix.variants)


def compare(name: str, prefix: Path, plink2: str, repeats: int, folder: Path) -> list[str]:
    """Table lines of one fileset."""
    ours = [sys.executable, "-c", _GENOVI, f"{prefix}.bed", str(CUTOFF)]
    theirs = [plink2, "--bfile", str(prefix), "--make-king-table", "--king-table-filter", str(CUTOFF)]
    theirs += ["--threads", "2", "--out", str(folder / "king")]
    times: dict[str, list[float]] = {"genovi": [], "genovi, whole process": [], "plink2": []}
    processor: dict[str, list[float]] = {name: [] for name in times}
    n_pairs = {}
    for _ in range(repeats):
        inner, wall, used = timed(ours)
        found, seconds, inner_used = inner.split()
        times["genovi"].append(float(seconds))
        processor["genovi"].append(float(inner_used))
        times["genovi, whole process"].append(wall)
        processor["genovi, whole process"].append(used)
        _, wall, used = timed(theirs)
        times["plink2"].append(wall)
        processor["plink2"].append(used)
        n_pairs = {"genovi": int(found), "plink2": len(pd.read_csv(folder / "king.kin0", sep="\t"))}
    wall, used = products(open_genotypes([prefix.with_suffix(".bed")]))
    times["matrix products"], processor["matrix products"] = [wall], [used]
    lines = []
    for program, values in times.items():
        used = statistics.median(processor[program])
        ratio = statistics.median(processor["plink2"]) / used
        lines.append(
            f"| {name} | {program} | {n_pairs.get(program.split(',')[0], '')} | {statistics.median(values):.1f} "
            f"| {used:.1f} | {', '.join(f'{v:.1f}' for v in processor[program])} | {ratio:.1f} |"
        )
    return lines


def timed(command: list[str]) -> tuple[str, float, float]:
    """Standard output, wall and processor seconds; a failure ends the benchmark."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return out, wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def products(matrix: GenotypeMatrix) -> tuple[float, float]:
    """Wall and processor seconds of the matrix products alone, from the first 8,192 variants."""
    dosages = matrix.dosages(slice(0, 8192))
    # x x' where all is complete; else indicators of heterozygous and of observed genotypes besides
    n_products = 1 if (dosages >= 0).all() else 5
    block = np.asfortranarray(dosages.T, dtype=np.float32)
    scipy.linalg.blas.ssyrk(1.0, block[:100], lower=True)
    start, used = time.perf_counter(), time.process_time()
    scipy.linalg.blas.ssyrk(1.0, block, lower=True)
    share = n_products * matrix.n_variants / len(dosages)
    return (time.perf_counter() - start) * share, (time.process_time() - used) * share


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "2")
    main()
