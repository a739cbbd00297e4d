"""open_sources: the only door through which genotype files come in. Formats are told by content, not by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from genovi.errors import ConfigError, DataError
from genovi.genotypes import bcf, eigenstrat, pipes, plink1, plink2, vcfzarr
from genovi.genotypes.batches import Source, joined_name, source_of
from genovi.genotypes.bgzf import Sniffed, sniff
from genovi.genotypes.builds import Builds
from genovi.genotypes.filesets import part
from genovi.genotypes.keeping import RowStore
from genovi.genotypes.matrix import GenotypeMatrix, InputFacts, take_samples
from genovi.genotypes.streaming import Forecast, order_of, report_input, stream

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
    ".ped": "convert it with `plink2 --pedmap PREFIX --make-bed --out NEW`",
    ".map": "convert the fileset with `plink2 --pedmap PREFIX --make-bed --out NEW`",
    ".tped": "convert it with `plink2 --tfile PREFIX --make-bed --out NEW`",
    ".tfam": "convert the fileset with `plink2 --tfile PREFIX --make-bed --out NEW`",
    ".raw": "it lacks positions and alleles: give the fileset or VCF that `plink --recode A` wrote it from",
    ".gen": "convert it with `plink2 --gen FILE ref-first --sample FILE --make-pgen --out NEW`",
    ".bgen": "call genotypes with `plink2 --bgen FILE ref-first --make-pgen --out NEW`",
}

# How each format of several files is found by the name of one of them, or by their prefix, and opened; what is found is
# the path of the genotypes, without the suffix that stands first.
_FILESETS: tuple[tuple[str, Callable[[Path], Path | None], Callable[[Path], Source]], ...] = (
    (".bed", plink1.plink1_prefix, plink1.plink1_source),
    (".pgen", plink2.plink2_prefix, plink2.plink2_source),
    ("", eigenstrat.eigenstrat_geno, eigenstrat.eigenstrat_source),
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


@contextmanager
def open_sources(paths: Sequence[Path | GenotypeMatrix], split_multiallelic: bool = False) -> Iterator[list[Source]]:
    """Open genotype files as far as their samples; they are read batch by batch.

    Args:
        paths: VCF (plain, gzip, BGZF), BCF 2, VCF Zarr (a folder or a zip archive), or filesets of PLINK 1, PLINK 2 or
            EIGENSTRAT (any of the three files, or their prefix). ``-`` is standard input and, as the shell's
            ``<(command)``, holds VCF or BCF. Several are one input: they hold different variants, such as one
            chromosome each, of the same samples, whose order may differ between files. Genotypes that are in memory
            may be among them.
        split_multiallelic: Make a record of VCF or BCF with several ALT alleles one row for each of them, in which
            genotypes with one of the others are missing; else it stays one row, which quality control drops and counts.

    Yields:
        One source per file or fileset, in the order given; the parts of a fileset count once. Dosage counts ALT (A1 in
        PLINK 1, the first allele in EIGENSTRAT).

    Raises:
        ConfigError: no path, or one given twice.
        DataError: a file is missing, damaged, malformed or of another format.
    """
    if not paths:
        raise ConfigError("no input", fix="name at least one genotype file")
    inputs: dict[Path, tuple[Path, Callable[[Path, ExitStack], Source]]] = {}
    in_memory = [source_of(one) for one in paths if isinstance(one, GenotypeMatrix)]
    seen: set[Path] = set()
    for path in (Path(one) for one in paths if not isinstance(one, GenotypeMatrix)):
        if path.absolute() in seen:
            raise ConfigError("the same input is given twice", where=path, fix="name it once")
        seen.add(path.absolute())
        place, opened = _opener_of(path, split_multiallelic)
        inputs.setdefault(place.absolute(), (place, opened))
    with ExitStack() as stack:
        yield [opened(place, stack) for place, opened in inputs.values()] + in_memory


def open_genotypes(paths: Sequence[Path | GenotypeMatrix], split_multiallelic: bool = False) -> GenotypeMatrix:
    """Read genotypes whole, unfiltered.

    Args:
        paths: As for ``open_sources``.
        split_multiallelic: As for ``open_sources``.

    Returns:
        All records in the order given. A PLINK 1 fileset alone stays a memory map.

    Raises:
        ConfigError, DataError: as ``open_sources``, or there is no variant at all.
        MismatchError: files have different samples, or are on different genome builds.
    """
    with open_sources(paths, split_multiallelic) as sources:
        facts: list[InputFacts] = []
        if len(sources) == 1 and sources[0].whole is not None:
            matrix = sources[0].whole()
            report_input(sources, matrix.n_variants, matrix.facts)
            return matrix
        orders = [order_of(source, sources[0]) for source in sources]
        store = RowStore().begin(sources[0].samples)
        builds, forecast = Builds(sources), Forecast()
        for which, batch, share in stream(sources, None, facts):
            builds.add(which, batch.variants)
            order = orders[which]
            store.append(batch.rows if order is None else take_samples(batch.rows, order), batch.variants)
            forecast.look(share, len(store), store.n_bytes)
        builds.check(facts)
        merged = InputFacts.merge(facts)
        report_input(sources, len(store), merged)
        name = joined_name([source.name for source in sources])
        return GenotypeMatrix(store.rows(), sources[0].samples, store.variants, name, merged)


def describe(paths: Sequence[Path]) -> InputSummary:
    """Summarise an input without filtering it, in memory that does not depend on its size.

    Args:
        paths: As for ``open_sources``.

    Raises:
        ConfigError, DataError, MismatchError: as ``open_genotypes``.
    """
    from genovi.genotypes.counting import count_alleles
    from genovi.genotypes.kinds import KINDS, kind_numbers
    from genovi.genotypes.regions import BuildEvidence, BuildGuess

    with open_sources(paths) as sources:
        facts: list[InputFacts] = []
        for source in sources:
            order_of(source, sources[0])
        n_samples = len(sources[0].samples)
        n_in = [0] * len(sources)
        missing, n_of_kind = 0, np.zeros(len(KINDS), dtype=np.int64)
        evidence, builds, forecast = BuildEvidence(), Builds(sources), Forecast()
        for which, batch, share in stream(sources, None, facts):
            n_in[which] += len(batch.variants)
            forecast.look(share, sum(n_in), None)
            evidence.add(batch.variants)
            builds.add(which, batch.variants)
            n_of_kind += np.bincount(kind_numbers(batch.variants), minlength=len(KINDS))
            missing += int(count_alleles(batch.rows, n_samples).sample_missing.sum())
        merged = InputFacts.merge(facts)
        report_input(sources, sum(n_in), merged)
        disagreement = builds.disagreement(facts)
    build = evidence.guess(merged) if disagreement is None else BuildGuess("unknown", disagreement)
    kinds = dict(zip(KINDS, n_of_kind.tolist(), strict=True))
    n_multiallelic, n_snps = kinds["multi-allelic"], kinds["SNP"]
    return InputSummary(
        files=tuple(FileSummary(one.name, one.format, n_samples, n) for one, n in zip(sources, n_in, strict=True)),
        n_samples=n_samples,
        n_variants=sum(n_in),
        contigs=tuple(evidence.names.items()),
        missing_share=missing / (n_samples * sum(n_in)),
        n_multiallelic=n_multiallelic,
        n_non_snp=sum(n_in) - n_snps - n_multiallelic,
        half_calls=merged.half_calls,
        haploid_calls=merged.haploid_calls,
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


def _opener_of(path: Path, split: bool) -> tuple[Path, Callable[[Path, ExitStack], Source]]:
    """What ``path`` stands for, such as the prefix of a fileset, and the function that opens it."""
    if pipes.is_pipe(path):
        return path, lambda place, stack: _open_pipe(place, stack, split)
    if vcfzarr.is_vcf_zarr(path):
        return path, lambda place, _: vcfzarr.vcf_zarr_source(place)
    found = [(place, opened, suffix) for suffix, find, opened in _FILESETS if (place := find(path)) is not None]
    if len(found) > 1:
        raise ConfigError(
            f"this names {len(found)} filesets of different formats",
            where=path,
            why=f"there are {' and '.join(f'{place}{suffix}' for place, _, suffix in found)}",
            fix="name the file with the genotypes instead of the prefix",
        )
    if found:
        place, opened, _ = found[0]
        return place, lambda place, _: opened(place)
    return path, lambda place, _: _open_file(place, split)


def _open_pipe(path: Path, stack: ExitStack, split: bool) -> Source:
    file, name = stack.enter_context(pipes.spooled(path))
    return replace(_open_file(file, split), name=name)


def _open_file(path: Path, split: bool) -> Source:
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
        return bcf.bcf_source(path, sniffed.compression, split)
    if sniffed.head.startswith((b"##", b"#CHROM")):
        from genovi.genotypes.vcf import vcf_source

        return vcf_source(path, sniffed.compression, split)
    if sniffed.head.startswith(plink1.MAGIC) and sniffed.compression == "plain":
        if path.suffix == ".bed" and not plink2.is_pgen(sniffed.head):
            return plink1.plink1_source(path.with_suffix(""))
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
