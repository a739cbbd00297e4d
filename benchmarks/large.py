"""A call set larger than memory: genovi against plink2 on 20,000 samples, with peak memory.

    python benchmarks/large.py [--samples 20000] [--records 200000] [--memory 2000] [--repeats 1] [--work DIR]

The file is drawn directly as VCF text (three populations, Balding-Nichols with F_ST 0.05, ancestral frequencies with
many rare alleles, phased, 0.1 % missing; a tenth of the records are indels) and compressed by bgzip. It is kept in
the folder of --work, where a later run finds it; without --work it goes to a temporary folder. The large case takes
about 2 GB of disk for the file and 1 GB for outputs.

Each program is a process of its own; runs alternate. "Reading, default filters" is what genovi train does before
principal components, without pruning.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from reading import Run, n_cpus, run

_SEED = 1
_F_ST = 0.05
_MISSING = 0.001
_READ = """
import sys
from pathlib import Path
from genovi.genotypes.filtering import filter_sources
from genovi.genotypes.memory import plan_memory
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_sources
config = QCConfig(indep_pairwise=None, build="none")
with open_sources([Path(sys.argv[1])]) as sources:
    kept, _ = filter_sources(sources, config, plan_memory(float(sys.argv[2]), Path(sys.argv[3])))
print(kept.n_variants)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--memory", type=int, default=2000, help="MiB for genovi and plink2")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--work", type=Path, help="where the file is kept")
    parser.add_argument("--out", type=Path, help="where to keep the table")
    arguments = parser.parse_args()
    absent = [name for name in ("plink2", "bgzip") if shutil.which(name) is None]
    if absent:
        sys.exit(f"not on PATH: {', '.join(absent)}")
    with tempfile.TemporaryDirectory(dir=arguments.work) as scratch:
        folder = arguments.work or Path(scratch)
        path = folder / f"large_{arguments.samples}_{arguments.records}.vcf.gz"
        if not path.exists():
            # In a process of its own: what a process starts inherits its peak memory.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                pool.submit(write_large, path, arguments.samples, arguments.records).result()
        lines = compare(path, Path(scratch), arguments.memory, arguments.repeats)
    head = f"**{arguments.samples:,} samples x {arguments.records:,} records** ({lines[0]}), {n_cpus()} CPUs"
    table = "\n".join([head, "", *lines[1:]]) + "\n"
    print(table)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "large.md").write_text(table)


def compare(path: Path, scratch: Path, memory: int, repeats: int) -> list[str]:
    """Size of the file, and the table."""
    out = str(scratch / "out")
    convert = [sys.executable, "-m", "genovi", "convert", str(path), "--quiet", "--force", "--out", out]
    reading = f"genovi, reading, default filters, --memory {memory}"
    base_program = "plink2 --make-pgen, same filters"
    filters = ["--snps-only", "just-acgt", "--max-alleles", "2", "--autosome", "--mind", "0.1"]
    filters += ["--maf", "0.01", "--geno", "0.05"]
    programs = {
        reading: [sys.executable, "-c", _READ, str(path), str(memory), str(scratch)],
        base_program: ["plink2", "--vcf", str(path), "--memory", str(memory), "--make-pgen", *filters, "--out", out],
        "genovi convert": convert,
    }
    runs: dict[str, list[Run]] = defaultdict(list)
    kept = {}
    for _ in range(repeats):
        for program, command in programs.items():
            runs[program].append(run(command))
            kept[program] = int(runs[program][-1].output[-1]) if program == reading else n_written(program, Path(out))
    base = statistics.median(one.seconds for one in runs[base_program])
    lines = [
        f"{path.stat().st_size / 2**20:,.0f} MiB",
        "| program | median s | all runs | over plink2 with filters | peak MiB | variants |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for program, each in runs.items():
        seconds = [one.seconds for one in each]
        shown = ", ".join(f"{one:.0f}" for one in seconds)
        median, peak = statistics.median(seconds), max(one.memory for one in each)
        lines.append(f"| {program} | {median:.0f} | {shown} | {median / base:.2f} | {peak:.0f} | {kept[program]:,} |")
    return lines


def n_written(program: str, out: Path) -> int:
    """Variants in the output of a program."""
    path = out.with_suffix(".pvar" if "pgen" in program else ".bim")
    with open(path, "rb") as stream:
        return sum(not line.startswith(b"#") for line in stream)


def write_large(path: Path, n_samples: int, n_records: int) -> None:
    """Draw the file."""
    generator = np.random.Generator(np.random.SFC64(_SEED))
    population = np.arange(n_samples) % 3
    header = ["##fileformat=VCFv4.2", *(f"##contig=<ID={c}>" for c in range(1, 23))]
    header += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">']
    header.append(
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT" + "".join(f"\tS{i}" for i in range(n_samples))
    )
    each = -(-n_records // 22)
    text = np.full((n_samples, 4), ord("\t"), dtype=np.uint8)
    text[:, 1] = ord("|")
    temporary = path.with_suffix(".part")
    with (
        open(temporary, "wb") as stream,
        subprocess.Popen(
            ["bgzip", "-c", "-l", "1", "-@", str(n_cpus())], stdin=subprocess.PIPE, stdout=stream
        ) as bgzip,
    ):
        pipe = bgzip.stdin
        assert pipe is not None
        pipe.write(("\n".join(header) + "\n").encode())
        for i in range(n_records):
            ancestral = min(max(generator.beta(0.25, 1.5), 1e-4), 1 - 1e-4)
            scale = (1 - _F_ST) / _F_ST
            frequency = generator.beta(ancestral * scale, (1 - ancestral) * scale, size=3)
            limits = (frequency * 65536).astype(np.uint32)[population]
            draws = generator.integers(0, 65536, size=(2, n_samples), dtype=np.uint16)
            text[:, 0] = (draws[0] < limits) + np.uint8(ord("0"))
            text[:, 2] = (draws[1] < limits) + np.uint8(ord("0"))
            gone = generator.integers(0, n_samples, size=generator.poisson(_MISSING * n_samples))
            text[gone[:, None], [0, 2]] = ord(".")
            text[-1, 3] = ord("\n")
            ref, alt = ("AT", "A") if i % 10 == 9 else ("A", "G")
            fixed = f"{i // each + 1}\t{1000 + 100 * (i % each)}\trs{i}\t{ref}\t{alt}\t.\tPASS\t.\tGT\t"
            pipe.write(fixed.encode() + text.tobytes())
    temporary.rename(path)


if __name__ == "__main__":
    main()
