"""open_genotypes: the only door through which genotype files come in. Formats are told by content, not by name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from genovi.errors import ConfigError, DataError, MismatchError
from genovi.genotypes import bcf, eigenstrat, pipes, plink1, plink2, vcfzarr
from genovi.genotypes.bgzf import Sniffed, sniff
from genovi.genotypes.filesets import part
from genovi.genotypes.matrix import GenotypeMatrix

logger = logging.getLogger("genovi")

# What people hand over by mistake: (start of the content, what it is, what to do).
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"TBI\x01", "a tabix index", "give the VCF that it indexes"),
    (b"CSI\x01", "a CSI index", "give the VCF or BCF that it indexes"),
    (b"BAM\x01", "BAM alignments", "call genotypes first"),
    (b"CRAM", "CRAM alignments", "call genotypes first"),
    (b"BCF\x04", "BCF version 1", "convert it with `bcftools view` of version 0.1"),
    (b"\x28\xb5\x2f\xfd", "Zstandard data", "decompress it with `zstd -d`"),
    (b"BZh", "bzip2 data", "decompress it with `bunzip2`"),
    (b"\xfd7zXZ", "xz data", "decompress it with `unxz`"),
    (b"PK\x03\x04", "a zip archive", "unpack it"),
    (b"\x89HDF", "HDF5 data", "give genotypes, for example a VCF"),
    (b"\x89PNG", "a PNG picture", "give genotypes, for example a VCF"),
    (b"%PDF", "a PDF document", "give genotypes, for example a VCF"),
    (b"\xff\xfe", "text in UTF-16", "save it as UTF-8"),
    (b"\xfe\xff", "text in UTF-16", "save it as UTF-8"),
    (b"\x1f\x8b", "twice gzipped data", "decompress it once with `gunzip`"),
)


# Formats that are told by their names alone.
_ADVICE = {
    ".ped": "convert it with `plink1.9 --file PREFIX --make-bed --out NEW`",
    ".map": "convert the fileset with `plink1.9 --file PREFIX --make-bed --out NEW`",
    ".bgen": "call genotypes with `plink2 --bgen FILE ref-first --make-pgen --out NEW`",
}

# How each format of several files is found by the name of one of them, or by their prefix, and read; what is found is
# the path of the genotypes, without the suffix that stands first.
_FILESETS: tuple[tuple[str, Callable[[Path], Path | None], Callable[[Path], GenotypeMatrix]], ...] = (
    (".bed", plink1.plink1_prefix, plink1.read_plink1),
    (".pgen", plink2.plink2_prefix, plink2.read_plink2),
    ("", eigenstrat.eigenstrat_geno, eigenstrat.read_eigenstrat),
)


@dataclass(frozen=True)
class FileSummary:
    """One input file: its path, format, and numbers of samples and variants."""

    path: str
    format: str
    n_samples: int
    n_variants: int


@dataclass(frozen=True)
class InputSummary:
    """What ``genovi info`` says of an input.

    Attributes:
        files: One entry per file or fileset.
        n_samples: Samples.
        n_variants: Variant records of all kinds.
        contigs: Contig name as written and number of its variants, in file order.
        missing_share: Share of genotypes missing, in [0, 1].
        n_multiallelic: Records with several ALT alleles.
        n_non_snp: Records with one ALT allele that are not SNPs (indels, symbolic alleles, no ALT).
        half_calls: Genotypes with one allele missing, coded missing.
        haploid_calls: Genotypes of one allele, coded as two copies.
        build: "GRCh37", "GRCh38" or "unknown".
        build_reason: Why.
    """

    files: tuple[FileSummary, ...]
    n_samples: int
    n_variants: int
    contigs: tuple[tuple[str, int], ...]
    missing_share: float
    n_multiallelic: int
    n_non_snp: int
    half_calls: int
    haploid_calls: int
    build: str
    build_reason: str


def open_genotypes(paths: Sequence[Path], split_multiallelic: bool = False) -> GenotypeMatrix:
    """Read genotypes.

    Args:
        paths: VCF (plain, gzip, BGZF), BCF 2, VCF Zarr (a folder or a zip archive), or filesets of PLINK 1, PLINK 2 or
            EIGENSTRAT (any of the three files, or their prefix). ``-`` is standard input and, as the shell's
            ``<(command)``, holds VCF or BCF. Several are one input: they hold different variants, such as one
            chromosome each, of the same samples, whose order may differ between files.
        split_multiallelic: Make a record of VCF or BCF with several ALT alleles one row for each of them, in which
            genotypes with one of the others are missing; else it stays one row, which quality control drops and counts.

    Returns:
        All records in the order given; dosage counts ALT (A1 in PLINK 1, the first allele in EIGENSTRAT). A PLINK 1
        fileset alone stays a memory map.

    Raises:
        ConfigError: no path, or one given twice.
        DataError: a file is missing, damaged, malformed or of another format, or there is no variant at all.
        MismatchError: files have different samples.
    """
    matrices = _read_all(paths, split_multiallelic)
    matrix = GenotypeMatrix.concatenate([_in_order(one, matrices[0]) for one in matrices])
    if matrix.n_variants == 0:
        raise DataError(
            "no variants",
            where=matrix.source,
            why="the input has a header but no records",
            fix="check the command that made it",
        )
    logger.info("read %d samples x %d variants from %s", matrix.n_samples, matrix.n_variants, matrix.source)
    _log_odd_calls(matrix)
    return matrix


def describe(paths: Sequence[Path]) -> InputSummary:
    """Summarise an input without filtering it.

    Args:
        paths: As for ``open_genotypes``.

    Raises:
        ConfigError, DataError, MismatchError: as ``open_genotypes``.
    """
    from genovi.genotypes.counting import allele_counts
    from genovi.genotypes.filtering import variant_kinds
    from genovi.genotypes.regions import guess_build

    matrices = _read_all(paths)
    files = tuple(FileSummary(one.source, one.facts.formats[0], one.n_samples, one.n_variants) for one in matrices)
    matrix = GenotypeMatrix.concatenate([_in_order(one, matrices[0]) for one in matrices])
    if matrix.n_variants == 0:
        raise DataError("no variants", where=matrix.source, fix="check the command that made it")
    contigs: dict[str, int] = {}
    for name in matrix.variants.chrom.tolist():
        contigs[name] = contigs.get(name, 0) + 1
    kinds = variant_kinds(matrix.variants)
    build = guess_build(matrix)
    missing = int(allele_counts(matrix).sample_missing.sum())
    return InputSummary(
        files=files,
        n_samples=matrix.n_samples,
        n_variants=matrix.n_variants,
        contigs=tuple(contigs.items()),
        missing_share=missing / (matrix.n_samples * matrix.n_variants),
        n_multiallelic=int(np.sum(kinds == "multi-allelic")),
        n_non_snp=int(np.sum((kinds != "multi-allelic") & (kinds != "SNP"))),
        half_calls=matrix.facts.half_calls,
        haploid_calls=matrix.facts.haploid_calls,
        build=build.build,
        build_reason=build.reason,
    )


def input_files(path: Path) -> tuple[Path, ...]:
    """The files that an input stands for: those of a fileset, or ``path`` itself; only such as exist."""
    filesets = (
        (plink1.plink1_prefix, lambda prefix: tuple(part(prefix, suffix) for suffix in plink1.SUFFIXES)),
        (plink2.plink2_prefix, lambda prefix: tuple(part(prefix, suffix) for suffix in plink2.SUFFIXES)),
        (eigenstrat.eigenstrat_geno, eigenstrat.eigenstrat_files),
    )
    found = [file for find, files in filesets if (place := find(path)) is not None for file in files(place)]
    return tuple(file for file in dict.fromkeys([*([] if found else [path]), *found]) if file.is_file())


def _read_all(paths: Sequence[Path], split: bool = False) -> list[GenotypeMatrix]:
    """One matrix per file or fileset; the parts of a fileset count once."""
    if not paths:
        raise ConfigError("no input", fix="name at least one genotype file")
    inputs: dict[Path, tuple[Path, Callable[[Path], GenotypeMatrix]]] = {}
    seen: set[Path] = set()
    for path in map(Path, paths):
        if path.absolute() in seen:
            raise ConfigError("the same input is given twice", where=path, fix="name it once")
        seen.add(path.absolute())
        place, read = _reader_of(path, split)
        inputs.setdefault(place.absolute(), (place, read))
    return [read(place) for place, read in inputs.values()]


def _reader_of(path: Path, split: bool) -> tuple[Path, Callable[[Path], GenotypeMatrix]]:
    """What ``path`` stands for, such as the prefix of a fileset, and the function that reads it."""
    if pipes.is_pipe(path):
        return path, partial(_read_pipe, split=split)
    if vcfzarr.is_vcf_zarr(path):
        return path, vcfzarr.read_vcf_zarr
    found = [(place, read, suffix) for suffix, find, read in _FILESETS if (place := find(path)) is not None]
    if len(found) > 1:
        raise ConfigError(
            f"this names {len(found)} filesets of different formats",
            where=path,
            why=f"there are {' and '.join(f'{place}{suffix}' for place, _, suffix in found)}",
            fix="name the file with the genotypes instead of the prefix",
        )
    return found[0][:2] if found else (path, partial(_read_file, split=split))


def _read_pipe(path: Path, split: bool) -> GenotypeMatrix:
    with pipes.spooled(path) as (file, name):
        return replace(_read_file(file, split), source=name)


def _read_file(path: Path, split: bool) -> GenotypeMatrix:
    """A format of one file."""
    if path.is_dir() and (path / "metadata.json").is_file():
        raise DataError(
            "this folder is no VCF Zarr store",
            where=path,
            why="it may be the intermediate form that `vcf2zarr explode` makes",
            fix="go on with `vcf2zarr encode`",
        )
    sniffed = sniff(path)
    if sniffed.head.startswith(bcf.MAGIC):
        return bcf.read_bcf(path, sniffed.compression, split)
    if sniffed.head.startswith((b"##", b"#CHROM")):
        from genovi.genotypes.vcf import read_vcf

        return read_vcf(path, sniffed.compression, split)
    if sniffed.head.startswith(plink1.MAGIC) and sniffed.compression == "plain":
        if path.suffix == ".bed" and not plink2.is_pgen(sniffed.head):
            return plink1.read_plink1(path.with_suffix(""))
        raise DataError(
            "PLINK binary genotypes under another name than PREFIX.bed or PREFIX.pgen",
            where=path,
            why="files with variants and samples, of the same name, belong to it",
            fix="rename it",
        )
    raise _not_genotypes(path, sniffed)


def _not_genotypes(path: Path, sniffed: Sniffed) -> DataError:
    for start, what, fix in _OTHERS:
        if sniffed.head.startswith(start):
            return DataError(f"this is {what}, not genotypes that genovi reads", where=path, fix=fix)
    printable = b"\x00" not in sniffed.head
    return DataError(
        "not a VCF, BCF, PLINK, EIGENSTRAT or VCF Zarr file",
        where=path,
        why="it is text without a VCF header" if printable else "its first bytes are of none of these formats",
        fix=_ADVICE.get(path.suffix, "a VCF starts with ##fileformat=VCF; a PLINK 1 fileset is named by its .bed"),
    )


def _in_order(matrix: GenotypeMatrix, first: GenotypeMatrix) -> GenotypeMatrix:
    """``matrix`` with its samples in the order of ``first``."""
    if matrix.samples == first.samples:
        return matrix
    here, there = set(matrix.samples), set(first.samples)
    if here != there:
        examples = sorted(here ^ there)[:3]
        raise MismatchError(
            f"samples differ: {len(there - here)} only in {first.source}, {len(here - there)} only in {matrix.source}",
            where=", ".join(examples) + (", ..." if len(here ^ there) > 3 else ""),
            why="several files are one input only if they hold the same samples",
            fix="subset them to shared samples (`bcftools view -S SAMPLES`) or merge them (`bcftools merge`)",
        )
    place = {name: i for i, name in enumerate(matrix.samples)}
    logger.info("%s: samples put into the order of %s", matrix.source, first.source)
    return matrix.take_samples(np.array([place[name] for name in first.samples]))


def _log_odd_calls(matrix: GenotypeMatrix) -> None:
    facts = matrix.facts
    if facts.half_calls:
        logger.warning("half calls (such as ./1) taken as missing: %d", facts.half_calls)
    if facts.haploid_calls:
        logger.info("haploid calls counted as homozygous: %d", facts.haploid_calls)
    if facts.split_records:
        logger.info("records with several ALT alleles split: %d", facts.split_records)
    if facts.records_without_gt:
        logger.warning("records without GT, all of whose genotypes are missing: %d", facts.records_without_gt)
