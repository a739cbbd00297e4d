#!/usr/bin/env python3
"""Simulate genovi's demo data: unlinked common SNPs of 26 populations that mirror 1000 Genomes.

    python data/make_demo.py [--out FOLDER]

writes demo_train.vcf.gz, demo_new.vcf.gz (each with .tbi), demo.panel and SHA256SUMS. Needs msprime and numpy (the
``test`` extra installs them) and the programs bgzip and tabix of htslib. Nobody's genotypes are in these files:
population codes are borrowed from 1000 Genomes, the people are drawn from a coalescent.

The model: Africa and the rest split 2,400 generations ago, later West Eurasia and East Asia, later Europe and South
Asia, and East Asia and the Americas; within continents populations split 40 to 400 generations ago, in the order that
is known of their namesakes, with no migration afterwards. Six admixed populations draw from three sources each; every
two of their samples have admixture proportions of their own, as real admixed people do. One SNP is kept of each
non-recombining locus, so all are independent of each other.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msprime
import numpy as np

SEED = 20131219
N_SNPS = 6_000
PER_POPULATION = 40
N_NEW = 8  # of each population held out for demo_new.vcf.gz
MIN_MAF = 0.02
LOCUS_LENGTH = 5_000  # base pairs, without recombination
MUTATION_RATE = 1.25e-8  # per base pair and generation
MISSING_RATE = 0.006  # mean over variants
N_BAD_VARIANTS, BAD_VARIANT_RATE = 40, 0.08
N_BAD_SAMPLES, BAD_SAMPLE_RATE = 3, 0.05

GROUPS = {
    "AFR": ("YRI", "ESN", "GWD", "MSL", "LWK", "ACB", "ASW"),
    "AMR": ("MXL", "PUR", "CLM", "PEL"),
    "EAS": ("CHB", "CHS", "CDX", "KHV", "JPT"),
    "EUR": ("CEU", "GBR", "FIN", "IBS", "TSI"),
    "SAS": ("GIH", "PJL", "BEB", "STU", "ITU"),
}

# Sizes: diploid individuals, constant from a population's founding on.
SIZES = {
    "ANC": 11_000,
    "AFR": 16_000, "WEST": 14_000, "COAST": 12_000, "NIGERIA": 12_000,
    "YRI": 10_000, "ESN": 7_000, "GWD": 9_000, "MSL": 8_000, "LWK": 16_000,
    "OOA": 3_500,
    "EURASIA": 7_000,
    "EUR": 6_500, "NEUR": 8_000, "NWEUR": 8_000, "SEUR": 9_000,
    "CEU": 7_000, "GBR": 7_000, "FIN": 3_600, "IBS": 8_000, "TSI": 9_000,
    "SAS": 11_000, "NSAS": 10_000, "SSAS": 9_000, "DRAVIDA": 7_500,
    "GIH": 6_000, "PJL": 9_000, "BEB": 9_000, "STU": 7_000, "ITU": 6_000,
    "EAST": 3_200,
    "EAS": 7_000, "MAINLAND": 9_000, "HAN": 10_000, "SOUTH": 8_000,
    "CHB": 10_000, "CHS": 9_000, "CDX": 6_000, "KHV": 8_000, "JPT": 6_500,
    "NAT": 2_300, "NAT_N": 3_000, "NAT_C": 2_300, "NAT_S": 1_900,
}  # fmt: skip

# (generations ago, ancestor, descendants)
SPLITS = (
    (40, "NIGERIA", ("YRI", "ESN")),
    (50, "HAN", ("CHB", "CHS")),
    (50, "NWEUR", ("CEU", "GBR")),
    (60, "DRAVIDA", ("STU", "ITU")),
    (80, "SOUTH", ("CDX", "KHV")),
    (90, "SEUR", ("IBS", "TSI")),
    (100, "COAST", ("GWD", "MSL")),
    (110, "NEUR", ("NWEUR", "FIN")),
    (120, "SSAS", ("DRAVIDA", "BEB")),
    (130, "NSAS", ("GIH", "PJL")),
    (140, "MAINLAND", ("HAN", "SOUTH")),
    (160, "EUR", ("NEUR", "SEUR")),
    (170, "EAS", ("MAINLAND", "JPT")),
    (180, "SAS", ("NSAS", "SSAS")),
    (220, "WEST", ("NIGERIA", "COAST")),
    (350, "AFR", ("WEST", "LWK")),
    (400, "NAT", ("NAT_N", "NAT_C", "NAT_S")),
    (700, "EURASIA", ("EUR", "SAS")),
    (900, "EAST", ("EAS", "NAT")),
    (1_300, "OOA", ("EURASIA", "EAST")),
    (2_400, "ANC", ("AFR", "OOA")),
)

# Sources and mean proportions; individual proportions are Dirichlet with this concentration.
ADMIXED = {
    "ACB": (("NIGERIA", "NWEUR"), (0.88, 0.12), 25),
    "ASW": (("WEST", "NWEUR", "NAT_N"), (0.77, 0.20, 0.03), 18),
    "MXL": (("NAT_N", "IBS", "WEST"), (0.48, 0.47, 0.05), 10),
    "PUR": (("NAT_C", "IBS", "WEST"), (0.13, 0.73, 0.14), 20),
    "CLM": (("NAT_C", "IBS", "WEST"), (0.27, 0.65, 0.08), 16),
    "PEL": (("NAT_S", "IBS", "WEST"), (0.78, 0.19, 0.03), 10),
}
ADMIXTURE_TIME = 12
PER_STRATUM = 2  # samples of an admixed population that share their proportions

GRCH38_LENGTHS = (
    248956422, 242193529, 198295559, 190214555, 181538259, 170805979, 159345973, 145138636,
    138394717, 133797422, 135086622, 133275309, 114364328, 107043718, 101991189, 90338345,
    83257441, 80373285, 58617616, 64444167, 46709983, 50818468,
)  # fmt: skip


@dataclass(frozen=True)
class Demo:
    """Simulated genotypes in file order.

    Attributes:
        samples: Names, shape (n_samples,).
        populations: Population codes, shape (n_samples,).
        sexes: "male" or "female", drawn at random, shape (n_samples,).
        held_out: Which samples go into demo_new.vcf.gz, bool, shape (n_samples,).
        dosages: Copies of ALT, shape (n_variants, n_samples), int8, -1 where missing.
        alleles: REF and ALT of each variant.
        contigs: Contig of each variant, "chr1" to "chr22".
        positions: 1-based positions in base pairs, sorted within contigs.
    """

    samples: list[str]
    populations: list[str]
    sexes: list[str]
    held_out: np.ndarray
    dosages: np.ndarray
    alleles: list[tuple[str, str]]
    contigs: list[str]
    positions: np.ndarray


def demography(rng: np.random.Generator) -> tuple[msprime.Demography, list[msprime.SampleSet], list[str]]:
    """The model, what to sample from it, and the population code of each sample."""
    model = msprime.Demography()
    for name, size in SIZES.items():
        model.add_population(name=name, initial_size=size)
    sample_sets: list[msprime.SampleSet] = []
    codes: list[str] = []
    for code in (code for group in GROUPS.values() for code in group):
        codes += [code] * PER_POPULATION
        if code not in ADMIXED:
            sample_sets.append(msprime.SampleSet(PER_POPULATION, population=code))
            continue
        sources, mean, concentration = ADMIXED[code]
        for stratum in range(PER_POPULATION // PER_STRATUM):
            proportions = rng.dirichlet(np.array(mean) * concentration)
            name = f"{code}_{stratum}"
            model.add_population(name=name, initial_size=5_000)
            model.add_admixture(ADMIXTURE_TIME, derived=name, ancestral=list(sources), proportions=proportions)
            sample_sets.append(msprime.SampleSet(PER_STRATUM, population=name))
    for time, ancestor, descendants in SPLITS:
        model.add_population_split(time, derived=list(descendants), ancestral=ancestor)
    model.sort_events()
    return model, sample_sets, codes


def common_snps(
    model: msprime.Demography, sample_sets: list[msprime.SampleSet], rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, tuple[str, str]]]:
    """Yield (haplotypes, (REF, ALT)) of one random common SNP for each locus that has any, without end."""
    n_haplotypes = 2 * sum(s.num_samples for s in sample_sets)
    loci = msprime.sim_ancestry(
        sample_sets,
        demography=model,
        sequence_length=LOCUS_LENGTH,
        num_replicates=100 * N_SNPS,
        random_seed=int(rng.integers(1, 2**31)),
    )
    for locus in loci:
        mutated = msprime.sim_mutations(
            locus, rate=MUTATION_RATE, model=msprime.HKY(kappa=4.0), random_seed=int(rng.integers(1, 2**31))
        )
        tree = mutated.first()
        common = []
        for site in tree.sites():
            frequency = tree.num_samples(site.mutations[0].node) / n_haplotypes
            if len(site.mutations) == 1 and min(frequency, 1 - frequency) >= MIN_MAF:
                common.append(site)
        if common:
            site = common[rng.integers(len(common))]
            carriers = np.fromiter(tree.samples(site.mutations[0].node), dtype=np.int64)
            haplotypes = np.zeros(n_haplotypes, dtype=np.int8)
            haplotypes[carriers] = 1
            yield haplotypes, (site.ancestral_state, site.mutations[0].derived_state)


def place(n: int, rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """Contigs and positions of ``n`` variants: spread over 22 autosomes by length, in file order."""
    share = np.cumsum(GRCH38_LENGTHS) / sum(GRCH38_LENGTHS)
    chromosome = np.searchsorted(share, (np.arange(n) + 0.5) / n)
    positions = np.empty(n, dtype=np.int64)
    for c in np.unique(chromosome):
        here = np.flatnonzero(chromosome == c)
        spacing = GRCH38_LENGTHS[c] / len(here)
        positions[here] = ((np.arange(len(here)) + rng.uniform(0.05, 0.95, len(here))) * spacing).astype(np.int64)
    return [f"chr{c + 1}" for c in chromosome], positions + 1


def lose_genotypes(dosages: np.ndarray, rng: np.random.Generator) -> None:
    """Set genotypes to -1: a low rate that differs by variant, some bad variants, a few bad samples."""
    n_variants, n_samples = dosages.shape
    rate = np.asarray(rng.gamma(2.0, MISSING_RATE / 2, size=n_variants))
    rate[rng.choice(n_variants, N_BAD_VARIANTS, replace=False)] = BAD_VARIANT_RATE
    dosages[rng.random(dosages.shape) < rate[:, None]] = -1
    for sample in rng.choice(n_samples, N_BAD_SAMPLES, replace=False):
        dosages[rng.random(n_variants) < BAD_SAMPLE_RATE, sample] = -1


def simulate(n_snps: int = N_SNPS) -> Demo:
    """All of the demo data; the same for the same versions of msprime and numpy (at least ``N_BAD_VARIANTS`` SNPs)."""
    # A stream for each stage: asking for fewer SNPs gives the first ones of the same samples.
    model_rng, loci_rng, rng, missing_rng = (np.random.default_rng(s) for s in np.random.SeedSequence(SEED).spawn(4))
    model, sample_sets, codes = demography(model_rng)
    snps = common_snps(model, sample_sets, loci_rng)
    dosages = np.empty((n_snps, len(codes)), dtype=np.int8)
    alleles = []
    for i in range(n_snps):
        haplotypes, states = next(snps)
        dosages[i] = haplotypes.reshape(-1, 2).sum(axis=1)
        alleles.append(states)
    # Neither names nor order say anything about populations.
    order = rng.permutation(len(codes))
    populations = [codes[i] for i in order]
    held_out = np.zeros(len(codes), dtype=bool)
    for code in sorted(set(codes)):
        held_out[rng.choice(np.flatnonzero(np.array(populations) == code), N_NEW, replace=False)] = True
    sexes = [("male", "female")[sex] for sex in rng.integers(2, size=len(codes))]
    contigs, positions = place(n_snps, rng)
    dosages = np.ascontiguousarray(dosages[:, order])
    lose_genotypes(dosages, missing_rng)
    return Demo(
        samples=[f"SIM{i + 1:04d}" for i in range(len(codes))],
        populations=populations,
        sexes=sexes,
        held_out=held_out,
        dosages=dosages,
        alleles=alleles,
        contigs=contigs,
        positions=positions,
    )


def vcf_text(demo: Demo, chosen: np.ndarray) -> str:
    """The samples ``chosen`` (bool, shape (n_samples,)) as VCF 4.2."""
    columns = np.flatnonzero(chosen)
    lines = ["##fileformat=VCFv4.2", "##source=SIMULATED with msprime by data/make_demo.py of genovi; not real people"]
    lines.append('##FILTER=<ID=PASS,Description="All filters passed">')
    for c, length in enumerate(GRCH38_LENGTHS, start=1):
        lines.append(f"##contig=<ID=chr{c},length={length},assembly=GRCh38>")
    lines.append('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">')
    names = [demo.samples[j] for j in columns]
    lines.append("\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *names]))
    text = np.array(["0/0", "0/1", "1/1", "./."])  # index -1 (missing) -> "./."
    for i, (contig, position) in enumerate(zip(demo.contigs, demo.positions, strict=True)):
        ref, alt = demo.alleles[i]
        fixed = [contig, str(position), f"sim{i + 1}", ref, alt, ".", "PASS", ".", "GT"]
        lines.append("\t".join([*fixed, *text[demo.dosages[i, columns]]]))
    return "\n".join(lines) + "\n"


def panel_text(demo: Demo) -> str:
    """All samples in the panel format of 1000 Genomes."""
    group = {code: name for name, codes in GROUPS.items() for code in codes}
    rows = zip(demo.samples, demo.populations, demo.sexes, strict=True)
    lines = ["sample\tpop\tsuper_pop\tgender", *(f"{s}\t{p}\t{group[p]}\t{sex}" for s, p, sex in rows)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write everything."""
    parser = argparse.ArgumentParser(description="Simulate genovi's demo data.")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent)
    folder = parser.parse_args().out
    demo = simulate()
    (folder / "demo.panel").write_text(panel_text(demo))
    for name, chosen in {"demo_train.vcf": ~demo.held_out, "demo_new.vcf": demo.held_out}.items():
        (folder / name).write_text(vcf_text(demo, chosen))
        subprocess.run(["bgzip", "--force", "--compress-level", "9", str(folder / name)], check=True)
        subprocess.run(["tabix", "--force", "--preset", "vcf", str(folder / f"{name}.gz")], check=True)
    names = ["demo.panel", *(f"demo_{part}.vcf.gz{index}" for part in ("train", "new") for index in ("", ".tbi"))]
    sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in sorted(names)]
    (folder / "SHA256SUMS").write_text("".join(sums))


if __name__ == "__main__":
    main()
