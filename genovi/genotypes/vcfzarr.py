"""VCF Zarr, the layout that bio2zarr writes: a Zarr group, a folder or a zip archive, with one array for each field.

Read through zarr (the optional extra ``zarr``), formats 2 and 3, a block of chunks at a time. Arrays in use:
``sample_id``, ``contig_id``, ``contig_length``, ``variant_contig``, ``variant_position``, ``variant_id``,
``variant_allele`` (variants x alleles, REF first, padded with "") and ``call_genotype`` (variants x samples x ploidy:
allele numbers, -1 missing, -2 beyond the end of a shorter genotype). Alleles and ploidy are treated as in ``vcf``.
Chunks that hold nothing but the fill value may be left out of the format; a lost chunk looks the same, so it is told.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from genovi.errors import DataError
from genovi.genotypes.batches import Rows, Source, rows_source
from genovi.genotypes.building import normalise_allele
from genovi.genotypes.filesets import head_of, shared_objects
from genovi.genotypes.matrix import InputFacts, VariantTable, pack
from genovi.genotypes.vcfheader import HeaderEvidence, check_sample_names

logger = logging.getLogger("genovi")

_METADATA = ("zarr.json", ".zgroup")
_BLOCK_BYTES = 1 << 26
_NEEDED = ("sample_id", "variant_contig", "variant_position", "variant_allele")
_NEVER_EMPTY = ("sample_id", "variant_position", "variant_allele")
_GENOTYPE_SUBSTITUTES = ("DS", "GP", "GL", "PL", "HDS")

# States of one allele: number + 2, so that beyond the end is 0, missing 1, REF 2, the first ALT 3 and others 4.
_BEYOND, _MISSING, _REF, _ALT, _OTHER = range(5)


def _call(first: int, second: int) -> tuple[int, bool, bool]:
    """Dosage, whether it is a half call and whether it is haploid, from the states of two alleles."""
    alleles = [first] if second == _BEYOND else [first, second]
    n_missing = alleles.count(_MISSING)
    if first == _BEYOND or n_missing:
        return -1, 0 < n_missing < len(alleles), False
    dosage = -1 if _OTHER in alleles else alleles.count(_ALT) * (3 - len(alleles))
    return dosage, False, len(alleles) == 1


_CALLS = [_call(first, second) for first in range(5) for second in range(5)]
_DOSAGE = np.array([call[0] for call in _CALLS], dtype=np.int8)
_IS_CALLED = np.array([first > _MISSING or second > _MISSING for first in range(5) for second in range(5)])
_IS_HALF = np.array([call[1] for call in _CALLS])
_IS_HAPLOID = np.array([call[2] for call in _CALLS])


def is_vcf_zarr(path: Path) -> bool:
    """Whether ``path`` is a folder or a zip archive that holds a Zarr group."""
    if path.is_dir():
        return any((path / name).is_file() for name in _METADATA)
    return head_of(path).startswith(b"PK\x03\x04") and _inner_folder(path) is not None


def vcf_zarr_source(path: Path) -> Source:
    """Open a VCF Zarr store; its genotypes are read in batches.

    Args:
        path: A folder or a zip archive.

    Returns:
        One row a variant, in the order of the store; the facts count half calls and haploid calls.

    Raises:
        DataError: zarr is not installed, or the store lacks arrays, is damaged or holds what VCF cannot, which may show
            only while it is read.
    """
    with _opened(path) as group:
        arrays = dict(group.arrays())
        _check_arrays(path, arrays)
        samples = tuple(_texts(arrays["sample_id"][:]))
        check_sample_names(samples, str(path), "rename samples of the VCF (`bcftools reheader`), encode it again")
        contigs, evidence = _contigs(path, group, arrays)
        variants = _variants(path, arrays, contigs)
        instead, n_bytes = _substitutes(arrays), int(arrays["call_genotype"].nbytes)

    def rows() -> Rows:
        tally = np.zeros(len(_CALLS), dtype=np.int64)
        with _opened(path) as group:
            yield from _genotypes(path, group["call_genotype"], variants, samples, tally)
        if tally[_IS_CALLED].sum() == 0 < tally.sum() and instead:  # the header names GT, no record has it
            raise _no_genotypes(path, instead)
        return InputFacts(
            formats=("VCF Zarr",),
            references=tuple(evidence.references),
            contig_lengths=evidence.contig_lengths,
            half_calls=int(tally[_IS_HALF].sum()),
            haploid_calls=int(tally[_IS_HAPLOID].sum()),
        )

    return rows_source(str(path), "VCF Zarr", samples, variants, n_bytes, rows)


def _inner_folder(path: Path) -> str | None:
    """Where in a zip archive the group lies that is nearest to its root; None where there is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.rpartition("/")[2] in _METADATA]
    except (zipfile.BadZipFile, OSError):
        # Its list of contents is at its end: a cut archive is still taken for what its name says.
        return "" if path.name.endswith((".vcz", ".vcz.zip", ".zarr.zip", ".vcfz.zip")) else None
    return min(
        (name.rpartition("/")[0] for name in names), key=lambda name: name.count("/") + (name > ""), default=None
    )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The Zarr group; what zarr and its codecs raise while reading becomes a DataError that names the store."""
    try:
        import zarr
        from zarr.storage import ZipStore
    except ImportError as error:
        raise DataError(
            "reading this file needs the package zarr, which is not installed",
            where=path,
            why="VCF Zarr is an optional extra",
            fix="pip install 'genovi-popgen[zarr]'",
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on parts of the format that are new or of version 2
            if path.is_dir():
                yield zarr.open_group(os.fspath(path), mode="r")
            else:
                zipfile.ZipFile(path).close()  # what it raises on a damaged archive is kinder than the store's error
                with ZipStore(path, mode="r") as store:
                    yield zarr.open_group(store, path=_inner_folder(path) or "", mode="r")
    except (OSError, ValueError, LookupError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            "damaged VCF Zarr store",
            where=path,
            why=f"{type(error).__name__}: {str(error)[:200]}",
            fix="copy it again, or write it again with `vcf2zarr convert`",
        ) from error


def _check_arrays(path: Path, arrays: dict[str, Any]) -> None:
    absent = [name for name in _NEEDED if name not in arrays]
    if absent:
        raise DataError(
            f"this Zarr store has no array {', '.join(absent)}",
            where=path,
            why="it is not VCF Zarr, or part of it was not copied",
            fix="write it with `vcf2zarr convert`",
        )
    if "call_genotype" not in arrays:
        raise _no_genotypes(path, _substitutes(arrays))
    shape = arrays["call_genotype"].shape
    n_variants, n_samples = arrays["variant_position"].shape[0], arrays["sample_id"].shape[0]
    if len(shape) != 3 or shape[:2] != (n_variants, n_samples):
        raise DataError(
            f"call_genotype has the shape {shape}",
            where=path,
            why=f"there are {n_variants} positions and {n_samples} samples",
            fix="write the store again with `vcf2zarr convert`",
        )
    if n_samples == 0:
        raise DataError("no samples", where=path, fix="make it from a VCF with genotype columns")
    for name in _NEVER_EMPTY:
        lost = _n_absent(path, arrays[name])
        if lost:
            raise DataError(
                f"{lost} chunks of {name} are not there",
                where=path,
                why="the store was copied in part",
                fix="copy it again",
            )
    lost = _n_absent(path, arrays["call_genotype"])
    if lost:
        logger.warning(
            "%s: %d chunks of call_genotype are not there; they are read as %s, which is right only if they were"
            " left out because nothing else is in them",
            path,
            lost,
            "homozygous for REF" if not arrays["call_genotype"].fill_value else "missing",
        )


def _substitutes(arrays: dict[str, Any]) -> str:
    return ", ".join(key for key in _GENOTYPE_SUBSTITUTES if f"call_{key}" in arrays)


def _no_genotypes(path: Path, substitutes: str) -> DataError:
    return DataError(
        "no genotypes (call_genotype)",
        where=path,
        why=f"it has {substitutes} instead, which genovi does not read" if substitutes else None,
        fix="make it from a VCF with called genotypes (GT)",
    )


def _n_absent(path: Path, array: Any) -> int:
    """Chunks (or shards, files of several chunks) of an array that are not there."""
    expected = math.prod(-(-n // size) for n, size in zip(array.shape, array.shards or array.chunks, strict=True))
    if path.is_dir():
        names = [name for _, _, files in os.walk(path / array.path) for name in files]
    else:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.startswith(f"{array.path}/") and name[-1] != "/"]
    return expected - sum(name.rpartition("/")[2][-1].isdigit() for name in names)


def _texts(values: Any) -> list[str]:
    return [one.decode() if isinstance(one, bytes) else str(one) for one in np.asarray(values).tolist()]


def _contigs(path: Path, group: Any, arrays: dict[str, Any]) -> tuple[list[str], HeaderEvidence]:
    """Names of the contigs, and what the header that the store keeps says about the genome build."""
    if "contig_id" in arrays:
        names = _texts(arrays["contig_id"][:])
    else:
        names = [str(name) for name in group.attrs.get("contigs", ())]  # before version 0.1 of the format
    if not names:
        raise DataError("no contig_id", where=path, why="it names the chromosomes", fix="write the store again")
    evidence = HeaderEvidence()
    for line in group.attrs.get("vcf_meta_information", ()):
        evidence.add(f"##{line[0]}={line[1]}".encode())
    for line in str(group.attrs.get("vcf_header", "")).splitlines():
        evidence.add(line.encode())
    if "contig_length" in arrays:
        lengths = np.asarray(arrays["contig_length"][:]).tolist()
        evidence.contig_lengths.update((name, int(n)) for name, n in zip(names, lengths, strict=True) if n > 0)
    return names, evidence


def _variants(path: Path, arrays: dict[str, Any], contigs: list[str]) -> VariantTable:
    contig = np.asarray(arrays["variant_contig"][:]).astype(np.int64)
    if len(contig) and not 0 <= contig.min() <= contig.max() < len(contigs):
        raise DataError(
            "variant_contig names a contig that contig_id does not have", where=path, fix="write the store again"
        )
    refs, alts = [], []
    for ref, *others in np.asarray(arrays["variant_allele"][:]).tolist():
        refs.append(normalise_allele(_text(ref)))
        alts.append(normalise_allele(",".join(filter(None, map(_text, others))) or "."))
    ids = _texts(arrays["variant_id"][:]) if "variant_id" in arrays else ["."] * len(contig)
    return VariantTable(
        chrom=shared_objects([contigs[i] for i in contig.tolist()]),
        pos=np.asarray(arrays["variant_position"][:]).astype(np.int64),
        id=shared_objects([name or "." for name in ids]),
        ref=shared_objects(refs),
        alt=shared_objects(alts),
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _genotypes(
    path: Path, array: Any, variants: VariantTable, samples: tuple[str, ...], tally: np.ndarray
) -> Iterator[np.ndarray]:
    """Packed genotypes, the rows of a chunk at a time; how often each of ``_CALLS`` occurs is added to ``tally``."""
    n_variants, n_samples, _ = array.shape
    n_alleles = np.array([1 if alt == "." else 2 + alt.count(",") for alt in variants.alt.tolist()], dtype=np.int64)
    n_rows, n_columns, _ = array.chunks
    if n_columns % 4:
        n_columns = n_samples  # blocks of samples fill whole bytes
    n_columns *= max(1, _BLOCK_BYTES // (2 * n_rows * n_columns))
    for start in range(0, n_variants, n_rows):
        rows = slice(start, min(start + n_rows, n_variants))
        some = variants.take(rows)
        packed = np.empty((len(some), (n_samples + 3) // 4), dtype=np.uint8)
        for first in range(0, n_samples, n_columns):
            columns = slice(first, min(first + n_columns, n_samples))
            alleles = np.asarray(array[rows, columns])
            _check_alleles(path, alleles, some, samples[columns], n_alleles[rows])
            calls = _states(alleles, n_alleles[rows])
            tally += np.bincount(calls.ravel(), minlength=len(_CALLS))
            packed[:, first // 4 : first // 4 + (calls.shape[1] + 3) // 4] = pack(_DOSAGE[calls])
        yield packed


def _states(alleles: np.ndarray, n_alleles: np.ndarray) -> np.ndarray:
    """Index into ``_CALLS`` of each genotype, shape (n_variants, n_samples), from allele numbers, (..., ploidy)."""
    states = (np.minimum(alleles, 2) + 2).astype(np.uint8)
    without_alt = states[n_alleles == 1]
    states[n_alleles == 1] = np.where(without_alt == _ALT, _OTHER, without_alt)
    second = states[..., 1] if states.shape[2] > 1 else np.zeros_like(states[..., 0])
    return states[..., 0] * np.uint8(5) + second


def _check_alleles(
    path: Path, alleles: np.ndarray, variants: VariantTable, samples: tuple[str, ...], n_alleles: np.ndarray
) -> None:
    bad = (alleles < -2) | (alleles >= np.where(n_alleles == 1, 1 << 30, n_alleles)[:, None, None])
    polyploid = alleles[:, :, 2:] != -2
    for where, what, why in (
        (bad, "names an allele that the variant does not have", None),
        (polyploid, "has more than two alleles", "genovi models diploid genotypes"),
    ):
        if where.any():
            row, sample, _ = (int(i) for i in np.argwhere(where)[0])
            raise DataError(
                f"a genotype of sample {samples[sample]!r} {what}",
                where=f"{path}, {variants.chrom[row]}:{variants.pos[row]}",
                why=why,
                fix="give diploid calls, or leave these contigs out" if why else "write the store again",
            )
