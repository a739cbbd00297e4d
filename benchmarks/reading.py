"""VCF to filtered, packed genotypes: genovi against plink2, bcftools, scikit-allel and cyvcf2, on the same files.

    python benchmarks/reading.py [--repeats 3] [--samples 2504] [--megabases 12] [--work DIR] [--out DIR]

Files: "GT" is 12 Mb of three populations simulated by msprime (some 165,000 records, phased, no missing genotypes);
"GT:DP:GQ:PL" is the first quarter of its records unphased, with depths, qualities and likelihoods, and 5 % of the
genotypes missing; "20 samples" is 800,000 records of a small cohort as variant callers write them, with identifiers,
indels, a long INFO and GT:AD:DP:GQ:PL; "hipster" is the file of that name below the folder that GENOVI_REAL_DATA names,
if it is there. The first three are kept in the folder of --work, where a later run finds them.

Everybody keeps biallelic SNPs with at most 5 % missing and a minor allele frequency of at least 1 %. Each program is a
process of its own that reads the file and ends with the genotypes packed, on disk (plink2, bcftools) or in memory
(genovi, scikit-allel, cyvcf2). Runs alternate; medians, peak memory, and times over plink2 --make-pgen are printed.
Also: the first call, which compiles; pruning by r2 against plink2 --indep-pairwise; opening a PLINK 1 fileset.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

_START = """
import sys, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
"""
_GENOVI = (
    _START
    + """
from genovi.genotypes.keeping import RowStore
from genovi.genotypes.memory import plan_memory
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_sources
from genovi.genotypes.rules import Known, Rules
from genovi.genotypes.steps import StepLog
from genovi.genotypes.streaming import sift
for path in sys.argv[1:]:
    start = time.perf_counter()
    with open_sources([Path(path)]) as sources, RowStore() as store:
        config = QCConfig(maf=0.01, geno=0.05, mind=1.0)
        sift(sources, config, Rules(), Known(), plan_memory(None, None), store.begin, StepLog(path))
        rows = store.rows()
    print(time.perf_counter() - start, len(rows))
"""
)
_ALLEL = (
    _START
    + """
import allel
fields = ["calldata/GT", "variants/POS", "variants/REF", "variants/ALT", "variants/is_snp", "variants/numalt"]
found = allel.read_vcf(sys.argv[1], fields=fields)
calls = allel.GenotypeArray(found["calldata/GT"])
counts = calls.count_alleles(max_allele=3)
observed = counts.sum(axis=1)
rarer = counts.to_frequencies()[:, :2].min(axis=1)
keep = found["variants/is_snp"] & (found["variants/numalt"] == 1) & (rarer >= 0.01)
keep &= observed >= 0.95 * 2 * calls.n_samples
print(len(calls.compress(keep, axis=0).to_packed()))
"""
)
_CYVCF2 = (
    _START
    + """
import numpy as np
from cyvcf2 import VCF
from genovi.genotypes.matrix import pack
rows = []
for record in VCF(sys.argv[1], gts012=True):
    if record.is_snp and len(record.ALT) == 1:
        types = record.gt_types
        missing = types == 3
        n = len(types) - missing.sum()
        alt = np.where(missing, 0, types).sum()
        if n >= 0.95 * len(types) and min(alt, 2 * n - alt) >= 0.01 * 2 * n:
            rows.append(pack(np.where(missing, -1, types).astype(np.int8)[None]))
print(len(rows))
"""
)
_PRUNE = (
    _START
    + """
from dataclasses import replace
import numpy as np
from genovi.genotypes.ld import indep_pairwise
from genovi.genotypes.reading import open_genotypes
start = time.perf_counter()
matrix = open_genotypes([Path(sys.argv[1])])
opened = time.perf_counter() - start
few = replace(matrix, packed=matrix.packed[:100], variants=matrix.variants.take(np.arange(100)))
indep_pairwise(few)  # loads the compiled loops
start = time.perf_counter()
kept = indep_pairwise(matrix, 50, 5, 0.2)
print(opened, time.perf_counter() - start)
Path(sys.argv[2]).write_text("".join(f"{name}\\n" for name in matrix.variants.id[kept]))
"""
)


@dataclass(frozen=True)
class Run:
    """One run of a program: what it printed, wall seconds of the whole process, and its peak memory in MiB."""

    output: list[str]
    seconds: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--samples", type=int, default=2504)
    parser.add_argument("--megabases", type=float, default=12.0)
    parser.add_argument("--work", type=Path, help="where the simulated files are kept")
    parser.add_argument("--out", type=Path, help="where to keep the table")
    arguments = parser.parse_args()
    absent = [name for name in ("plink2", "bcftools", "bgzip") if shutil.which(name) is None]
    if absent:
        sys.exit(f"not on PATH: {', '.join(absent)}")
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        folder = arguments.work or scratch
        # In a process of its own: what a process starts inherits its peak memory.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            files = pool.submit(make_files, folder, arguments.samples, arguments.megabases).result()
        real = Path(os.environ.get("GENOVI_REAL_DATA", "absent"), "hipster", "hipster.vcf.bgz")
        if real.exists():
            files["hipster"] = real
        few = scratch / "few.vcf"
        lines = [first_call(files["GT"], few, scratch)]
        for name, path in files.items():
            lines += ["", *compare(name, path, few, scratch, arguments.repeats)]
        lines += ["", *prune(files["GT"], scratch, arguments.repeats)]
    table = "\n".join(lines) + "\n"
    print(table)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "reading.md").write_text(table)


def compare(name: str, path: Path, few: Path, scratch: Path, repeats: int) -> list[str]:
    """The table of one file; genovi reads ``few``, a tiny one, before it, so that its loops are loaded."""
    python = [sys.executable, "-c"]
    out = str(scratch / "out")
    filters = ["--snps-only", "just-acgt", "--max-alleles", "2", "--geno", "0.05", "--maf", "0.01", "--autosome"]
    plink2 = ["plink2", "--vcf", str(path), *filters, "--out", out]
    conditions = ["-m2", "-M2", "-v", "snps", "-i", "F_MISSING<=0.05 && MAF>=0.01", "--threads", str(n_cpus())]
    programs = {
        "genovi": [*python, _GENOVI, str(few), str(path)],
        "plink2 --make-pgen": [*plink2, "--make-pgen"],
        "plink2 --make-bed": [*plink2, "--make-bed"],
        "bcftools view -Ob": ["bcftools", "view", *conditions, "-Ob", "-o", f"{out}.bcf", str(path)],
        "scikit-allel": [*python, _ALLEL, str(path)],
        "cyvcf2": [*python, _CYVCF2, str(path)],
    }
    runs: dict[str, list[Run]] = defaultdict(list)
    kept = {}
    for _ in range(repeats):
        for program, command in programs.items():
            runs[program].append(run(command))
            kept[program] = n_kept(program, runs[program][-1], Path(out))
    seconds = {program: [one.seconds for one in each] for program, each in runs.items()}
    inner = [float(one.output[2]) for one in runs["genovi"]]
    lines = [f"**{name}** ({path.stat().st_size / 2**20:.0f} MiB)", ""]
    lines += [
        "| program | median s | all runs | over plink2 | peak MiB | kept |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    base = statistics.median(seconds["plink2 --make-pgen"])

    def row(label: str, times: list[float], program: str) -> str:
        median, memory = statistics.median(times), max(one.memory for one in runs[program])
        shown = ", ".join(f"{value:.1f}" for value in times)
        return f"| {label} | {median:.2f} | {shown} | {median / base:.2f} | {memory:.0f} | {kept[program]} |"

    lines.append(row("genovi, reading and filters", inner, "genovi"))
    lines += [row(f"{program}, whole process", times, program) for program, times in seconds.items()]
    return lines


def n_kept(program: str, done: Run, out: Path) -> int:
    """Variants that a program kept."""
    if program.startswith("plink2"):
        path = out.with_suffix(".pvar" if "pgen" in program else ".bim")
        with open(path) as lines:  # never all at once: what this process holds, the next one begins with
            return sum(not line.startswith("#") for line in lines)
    if program.startswith("bcftools"):
        subprocess.run(["bcftools", "index", "-f", f"{out}.bcf"], check=True)  # -n counts by the index
        listing = subprocess.run(["bcftools", "index", "-n", f"{out}.bcf"], check=True, capture_output=True)
        return int(listing.stdout)
    return int(done.output[-1])


def first_call(path: Path, few: Path, scratch: Path) -> str:
    """How long the loops take to be compiled, once after an installation, and to be loaded; makes ``few``."""
    head = subprocess.run(["bcftools", "view", "-h", str(path)], check=True, capture_output=True, text=True).stdout
    n_samples = head.splitlines()[-1].count("\t") - 8
    records = ["\t".join(["1", str(pos), ".", "A", "G", ".", ".", ".", "GT"] + ["0/1", "0/0"] * (n_samples // 2)
                         + ["0/0"] * (n_samples % 2)) for pos in (1, 2, 3)]  # fmt: skip
    few.write_text(head + "\n".join(records) + "\n")
    environment = os.environ | {"NUMBA_CACHE_DIR": str(scratch / "cache")}
    first, second = (float(run([sys.executable, "-c", _GENOVI, str(few)], environment).output[0]) for _ in range(2))
    return (
        f"Compiling the loops of reading and filtering takes {first - second:.0f} s, once after an installation; they "
        f"are kept on disk, and loading them takes {second:.1f} s a process, which whole processes below include."
    )


def prune(path: Path, scratch: Path, repeats: int) -> list[str]:
    """The table of pruning, and whether both programs keep the same variants."""
    out = scratch / "cohort"
    run(["plink2", "--vcf", str(path), "--make-bed", "--maf", "0.01", "--set-all-var-ids", "@:#", "--out", str(out)])
    ours, theirs = scratch / "ours.txt", scratch / "pruned.prune.in"
    command = ["plink2", "--bfile", str(out), "--indep-pairwise", "50", "5", "0.2", "--out", str(scratch / "pruned")]
    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(repeats):
        done = run([sys.executable, "-c", _PRUNE, f"{out}.bed", str(ours)])
        times["genovi"].append(float(done.output[1]))
        times["opening"].append(float(done.output[0]))
        times["plink2"].append(run(command).seconds)
    median = {name: statistics.median(values) for name, values in times.items()}
    kept = [set(path.read_text().split()) for path in (ours, theirs)]
    n_variants = len(Path(f"{out}.bim").read_text().splitlines())
    same = "the same" if kept[0] == kept[1] else f"{len(kept[0] ^ kept[1])} different"
    return [
        f"**Pruning by r2** (50 5 0.2) of {n_variants} variants: genovi {median['genovi']:.2f} s, plink2 "
        f"(whole process) {median['plink2']:.2f} s, {same} variants kept ({len(kept[0])} of "
        f"genovi, {len(kept[1])} of plink2). Opening the PLINK 1 fileset: {1000 * median['opening']:.0f} ms, most of "
        "it for the names in the .bim.",
    ]


def make_files(folder: Path, n_samples: int, megabases: float) -> dict[str, Path]:
    """Simulate the files, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    bare, full = (folder / f"{kind}_{n_samples}_{megabases:g}.vcf.gz" for kind in ("gt", "fields"))
    few = folder / f"few_{megabases:g}.vcf.gz"
    if not few.exists():
        write_few(few, int(800_000 * megabases / 12))
    if not (bare.exists() and full.exists()):
        import msprime

        demography = msprime.Demography.island_model([10_000] * 3, 1e-4)
        sizes = {k: (n_samples + k) // 3 for k in range(3)}
        length = int(megabases * 1e6)
        trees = msprime.sim_ancestry(
            sizes, demography=demography, sequence_length=length, recombination_rate=1e-8, random_seed=1
        )
        sites = msprime.sim_mutations(trees, rate=1.25e-8, random_seed=2, model="binary")
        write_vcf(bare, sites, with_fields=False)
        write_vcf(full, sites, with_fields=True)
    return {"GT": bare, "GT:DP:GQ:PL": full, "20 samples": few}


def write_few(path: Path, n_records: int, n_samples: int = 20) -> None:
    """Records of few samples as BGZF: nine of ten are SNPs and have an identifier, and 2 % of genotypes are missing."""
    generator = np.random.default_rng(4)
    info = (
        "BaseQRankSum=0.731;DP=300;ExcessHet=3.0103;FS=0.522;MLEAC=3;MLEAF=0.100;MQ=60.00;"
        "MQRankSum=0.00;QD=21.40;ReadPosRankSum=0.549;SOR=0.732"
    )
    columns = np.array(
        ["0/0:12,0:12:33:0,33,480", "0/1:11,9:20:99:250,0,310", "1/1:0,9:9:27:330,27,0", "./.:0,0:0:.:."]
    )
    header = ["##fileformat=VCFv4.2", "##contig=<ID=chr1,length=248956422>"]
    header += [
        f'##INFO=<ID={one.split("=")[0]},Number=1,Type=Float,Description="of the site">' for one in info.split(";")
    ]
    kinds = {"GT": "1,Type=String", "AD": "R,Type=Integer", "DP": "1,Type=Integer", "GQ": "1,Type=Integer"}
    kinds["PL"] = "G,Type=Integer"
    header += [f'##FORMAT=<ID={key},Number={kind},Description="of a sample">' for key, kind in kinds.items()]
    header.append(
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT" + "".join(f"\tS{i}" for i in range(n_samples))
    )
    position = 10_000
    with (
        open(path, "wb") as stream,
        subprocess.Popen(["bgzip", "-c", "-@", str(n_cpus())], stdin=subprocess.PIPE, stdout=stream) as bgzip,
    ):
        bgzip.stdin.write(("\n".join(header) + "\n").encode())
        for start in range(0, n_records, 10_000):
            n = min(10_000, n_records - start)
            frequency = generator.beta(0.5, 0.5, n)
            dosage = generator.binomial(2, frequency[:, None], (n, n_samples))
            dosage[generator.random(dosage.shape) < 0.02] = 3
            ref = generator.integers(0, 4, n)
            alt = (ref + generator.integers(1, 4, n)) % 4
            named, indel = generator.random((2, n)) < [[0.9], [0.1]]
            lines = []
            for i, genotypes in enumerate(columns[dosage].tolist()):
                position += int(1 + 300 * frequency[i])
                name = f"rs{7 * position}" if named[i] else "."
                base = "ACGT"[ref[i]]
                other = base + "TTAC"[: 1 + alt[i]] if indel[i] else "ACGT"[alt[i]]
                fixed = f"chr1\t{position}\t{name}\t{base}\t{other}\t50\tPASS\t{info}\t{':'.join(kinds)}\t"
                lines.append(fixed + "\t".join(genotypes) + "\n")
            bgzip.stdin.write("".join(lines).encode())


def write_vcf(path: Path, sites: object, with_fields: bool) -> None:
    """The simulated genotypes as BGZF; REF is A, ALT is G."""
    n = sites.num_samples // 2
    keys = ("GT", "DP", "GQ", "PL") if with_fields else ("GT",)
    header = ["##fileformat=VCFv4.2", f"##contig=<ID=1,length={int(sites.sequence_length)}>"]
    header += [
        f"##FORMAT=<ID={key},Number={'G' if key == 'PL' else 1},Type={'String' if key == 'GT' else 'Integer'},"
        f'Description="{key}">'
        for key in keys
    ]
    header.append("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT" + "".join(f"\tS{i}" for i in range(n)))
    generator, every = np.random.default_rng(3), all_columns()
    with (
        open(path, "wb") as stream,
        subprocess.Popen(["bgzip", "-c", "-@", str(n_cpus())], stdin=subprocess.PIPE, stdout=stream) as bgzip,
    ):
        pipe = bgzip.stdin
        pipe.write(("\n".join(header) + "\n").encode())
        for variant in sites.variants():
            if with_fields and variant.site.id >= sites.num_sites // 4:
                break
            alleles = np.minimum(variant.genotypes, 1).reshape(n, 2)
            columns = fields(alleles, every, generator) if with_fields else bare_columns(alleles)
            pos = int(variant.site.position) + 1
            pipe.write(f"1\t{pos}\t.\tA\tG\t.\tPASS\t.\t{':'.join(keys)}\t".encode() + columns)


def bare_columns(alleles: np.ndarray) -> bytes:
    """``0|1`` for each sample, tabs between and a line end."""
    text = np.empty((len(alleles), 4), dtype=np.uint8)
    text[:, 0], text[:, 1], text[:, 2], text[:, 3] = alleles[:, 0] + 48, ord("|"), alleles[:, 1] + 48, ord("\t")
    text[-1, 3] = ord("\n")
    return text.tobytes()


def fields(alleles: np.ndarray, columns: np.ndarray, generator: np.random.Generator) -> bytes:
    """One of ``columns`` for each sample, tabs between and a line end; 5 % are missing."""
    depth = np.minimum(generator.poisson(25, len(alleles)), columns.shape[1] - 1)
    dosage = alleles.sum(axis=1)
    dosage[generator.random(len(alleles)) < 0.05] = -1
    return b"\t".join(columns[dosage, depth].tolist()) + b"\n"


def all_columns(deepest: int = 80) -> np.ndarray:
    """``0/1:23:69:69,0,115`` by dosage and depth, and ``./.:0:.:.`` in the last row, shape (4, deepest + 1), object."""
    columns = np.full((4, deepest + 1), b"./.:0:.:.", dtype=object)
    for dosage, genotype in enumerate(("0/0", "0/1", "1/1")):
        for depth in range(deepest + 1):
            quality = min(99, 3 * depth)
            away = [abs(other - dosage) for other in range(3)]
            likelihoods = ",".join(str(quality * steps + 2 * depth * (steps > 1)) for steps in away)
            columns[dosage, depth] = f"{genotype}:{depth}:{quality}:{likelihoods}".encode()
    return columns


def run(command: list[str], environment: dict[str, str] | None = None) -> Run:
    """Run a process and wait for it; a failure ends the benchmark.

    Python keeps compiled modules, as it does for users.
    """
    environment = {**(environment or os.environ)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            sys.exit(f"{command[0]} failed: {errors.read().decode()}")
        return Run(output.read().decode().split(), seconds, usage.ru_maxrss / 1024)


def n_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    main()
