"""Data and doors that many tests share. Import as ``from helpers import ...``."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from genovi.genotypes.kinds import KINDS, kind_numbers
from genovi.genotypes.matrix import GenotypeMatrix, VariantTable, pack

REPO = Path(__file__).resolve().parent.parent

_GENOTYPE_TEXT = np.array(["0/0", "0/1", "1/1", "./."])  # index -1 (missing) -> "./."
_BASES = np.array(list("ACGT"), dtype=object)
_BGZF_EOF = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_BGZF_PAYLOAD = 0xFF00  # bytes of text in one block; leaves room for deflate's worst case below 64 KiB


def real_data(name: str) -> Path:
    """Folder or file ``name`` of the real data, or skip the test.

    The data lie in the folder that the environment variable GENOVI_REAL_DATA names, by default ``shared/data``
    beside the checkout.
    """
    root = Path(os.environ.get("GENOVI_REAL_DATA") or Path(REPO.parent, "shared", "data"))
    path = root / name
    if not path.exists():
        pytest.skip(f"real data {name!r} not found under {root}; set GENOVI_REAL_DATA to the folder that holds it")
    return path


def needs(program: str) -> str:
    """Path of an external program that serves as an oracle, or skip the test."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"the oracle {program!r} is not installed")
    return path


def simulate_structure(
    seed: int,
    n_populations: int,
    n_per: int,
    n_variants: int,
    fst: float,
    missing: float = 0.0,
) -> tuple[GenotypeMatrix, np.ndarray]:
    """Unlinked genotypes of diverged populations under the Balding-Nichols model.

    Ancestral frequencies p are uniform on [0.1, 0.9]; population frequencies are
    Beta(p (1 - F) / F, (1 - p) (1 - F) / F); genotypes are Binomial(2, frequency). Some variants of a short
    simulation may be monomorphic. Variants lie 50 kb apart and fill chromosomes 1, 2, ... in equal shares.

    Args:
        seed: Of the generator; the same arguments give the same genotypes.
        n_populations: Number of populations, named "pop1", "pop2", ...
        n_per: Samples in each population, in consecutive order, named "s1", "s2", ...
        n_variants: Number of biallelic SNPs.
        fst: Divergence F of every population from the ancestor, in [0, 1); 0 means no structure.
        missing: Share of genotypes set to missing, at random.

    Returns:
        The genotypes and the population of each sample, shape (n_samples,), str.
    """
    rng = np.random.default_rng(seed)
    ancestral = rng.uniform(0.1, 0.9, size=n_variants)
    frequency = np.repeat(ancestral[:, None], n_populations, axis=1)
    if fst > 0:
        scale = (1 - fst) / fst
        frequency = rng.beta(frequency * scale, (1 - frequency) * scale)
    dosages = rng.binomial(2, np.repeat(frequency, n_per, axis=1)).astype(np.int8)
    if missing > 0:
        dosages[rng.random(dosages.shape) < missing] = -1
    labels = np.repeat([f"pop{k + 1}" for k in range(n_populations)], n_per)
    return matrix_of(dosages, seed=seed), labels


def matrix_of(dosages: np.ndarray, seed: int = 0) -> GenotypeMatrix:
    """A GenotypeMatrix around ``dosages``, with made-up samples and variants.

    Args:
        dosages: shape (n_variants, n_samples), int8: 0, 1, 2 copies of ALT, -1 where missing.
        seed: Decides the alleles.
    """
    n_variants, n_samples = dosages.shape
    rng = np.random.default_rng([seed, 1])
    ref = rng.integers(4, size=n_variants)
    alt = (ref + rng.integers(1, 4, size=n_variants)) % 4
    per_chromosome = max(1, -(-n_variants // 22))
    index = np.arange(n_variants)
    variants = VariantTable(
        chrom=(index // per_chromosome + 1).astype(str).astype(object),
        pos=(index % per_chromosome + 1).astype(np.int64) * 50_000,
        id=np.array([f"v{i + 1}" for i in index], dtype=object),
        ref=_BASES[ref],
        alt=_BASES[alt],
    )
    samples = tuple(f"s{i + 1}" for i in range(n_samples))
    return GenotypeMatrix(pack(dosages.astype(np.int8)), samples, variants, source="simulated")


def with_children(matrix: GenotypeMatrix, parents: list[tuple[int, int]], seed: int = 0) -> GenotypeMatrix:
    """``matrix`` of unlinked variants from ``matrix_of`` with a child of each pair of samples behind its samples.

    A sample that is both parents of a "child" has its twin there. Later pairs may name earlier children.
    """
    rng = np.random.default_rng([seed, 2])
    dosages = list(matrix.dosages().T)
    for one, other in parents:
        if one == other:
            dosages.append(dosages[one])
            continue
        passed = [(rng.random(len(g)) < np.maximum(g, 0) / 2) for g in (dosages[one], dosages[other])]
        unknown = (dosages[one] < 0) | (dosages[other] < 0)
        dosages.append(np.where(unknown, -1, passed[0].astype(np.int8) + passed[1]).astype(np.int8))
    samples = tuple(f"s{i + 1}" for i in range(len(dosages)))
    return GenotypeMatrix(pack(np.stack(dosages, axis=1)), samples, matrix.variants, source=matrix.source)


def assert_same(one: GenotypeMatrix, other: GenotypeMatrix) -> None:
    """Genotypes, samples and variants are equal."""
    np.testing.assert_array_equal(one.dosages(), other.dosages())
    assert one.samples == other.samples
    for column in ("chrom", "pos", "id", "ref", "alt"):
        np.testing.assert_array_equal(getattr(one.variants, column), getattr(other.variants, column))


def run_tool(*command: object) -> None:
    """Run an oracle that must end well."""
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def vcf_text(matrix: GenotypeMatrix) -> str:
    """``matrix`` as a VCF 4.2 with unphased GT."""
    table = matrix.variants
    ends = {c: int(table.pos[table.chrom == c].max()) + 50_000 for c in dict.fromkeys(table.chrom)}
    lines = ["##fileformat=VCFv4.2", *(f"##contig=<ID={c},length={end}>" for c, end in ends.items())]
    lines.append('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">')
    fixed = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
    lines.append("\t".join([*fixed, "FORMAT", *matrix.samples] if matrix.samples else fixed))
    for i, row in enumerate(_GENOTYPE_TEXT[matrix.dosages()]):
        fields = [table.chrom[i], str(table.pos[i]), table.id[i], table.ref[i], table.alt[i], ".", "PASS", ".", "GT"]
        lines.append("\t".join([*fields, *row]))
    return "\n".join(lines) + "\n"


def variant_kinds(variants: VariantTable) -> np.ndarray:
    """``kind_numbers`` in words, shape (n_variants,), object (str)."""
    return np.array(KINDS, dtype=object)[kind_numbers(variants)]


def write_vcf(path: Path, matrix: GenotypeMatrix, compress: str | None = None) -> Path:
    """Write ``matrix`` as a VCF; returns ``path``.

    Args:
        path: The file; its name does not decide the compression.
        matrix: The genotypes.
        compress: None, "gzip" (one plain gzip member) or "bgzf" (blocks and end-of-file marker).
    """
    text = vcf_text(matrix).encode()
    encode = {None: bytes, "gzip": lambda b: gzip.compress(b, compresslevel=1, mtime=0), "bgzf": bgzf}[compress]
    Path(path).write_bytes(encode(text))
    return Path(path)


def bgzf(data: bytes) -> bytes:
    """``data`` as BGZF: gzip members of at most 64 KiB that carry their size, and the empty last one."""
    blocks = []
    for start in range(0, len(data), _BGZF_PAYLOAD):
        chunk = data[start : start + _BGZF_PAYLOAD]
        deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
        body = deflate.compress(chunk) + deflate.flush()
        header = struct.pack("<4BI2BH2s2H", 31, 139, 8, 4, 0, 0, 255, 6, b"BC", 2, len(body) + 25)
        blocks.append(header + body + struct.pack("<2I", zlib.crc32(chunk), len(chunk)))
    return b"".join(blocks) + _BGZF_EOF
