"""Genotypes of an EIGENSTRAT fileset in its three forms, some variants at a time (see ``eigenstrat``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from genovi.errors import DataError
from genovi.genotypes.batches import rows_in_batch
from genovi.genotypes.bgzf import truncated
from genovi.genotypes.matrix import pack

SMALLEST_RECORD = 48  # bytes; also the length of the header of the transposed form
_UNPACKED_BYTES = 1 << 24  # of the transposed form at a time; each time all records are looked into

_DIGIT_TO_DOSAGE = np.full(256, -9, dtype=np.int8)
_DIGIT_TO_DOSAGE[[ord(digit) for digit in "0129"]] = (0, 1, 2, -1)
_CODE_TO_DOSAGE = np.array([0, 1, 2, -1], dtype=np.int8)
_BYTE_TO_DOSAGES = _CODE_TO_DOSAGE[(np.arange(256)[:, None] >> np.array([6, 4, 2, 0])) & 3]
_BYTE_TO_PLINK = pack(_BYTE_TO_DOSAGES)[:, 0]


def record_length(n_samples: int) -> int:
    """Bytes of one record of the packed form that is not transposed."""
    return max(SMALLEST_RECORD, (n_samples + 3) // 4)


def read_packed(geno: Path, n_samples: int, n_variants: int) -> Iterator[np.ndarray]:
    """Rows of a PACKEDANCESTRYMAP file of the right size, coded as in ``GenotypeMatrix``."""
    length, n_bytes = record_length(n_samples), (n_samples + 3) // 4
    size = rows_in_batch(n_bytes)
    with open(geno, "rb") as stream:
        stream.seek(length)
        for start in range(0, n_variants, size):
            n_rows = min(size, n_variants - start)
            block = stream.read(n_rows * length)
            if len(block) < n_rows * length:
                raise truncated(geno, "it became shorter while it was read")
            yield _BYTE_TO_PLINK[np.frombuffer(block, dtype=np.uint8).reshape(n_rows, length)[:, :n_bytes]]


def read_transposed(geno: Path, n_samples: int, n_variants: int) -> Iterator[np.ndarray]:
    """Rows of a transposed PACKEDANCESTRYMAP file of the right size, coded as in ``GenotypeMatrix``."""
    n_bytes = (n_variants + 3) // 4
    size = max(1, _UNPACKED_BYTES // (4 * n_samples))
    with open(geno, "rb", buffering=0) as stream:  # not mapped: a page of every record would count as memory
        for start in range(0, n_bytes, size):
            records = np.empty((n_samples, min(size, n_bytes - start)), dtype=np.uint8)
            for sample, record in enumerate(records):
                stream.seek(SMALLEST_RECORD + sample * n_bytes + start)
                if stream.readinto(record.data) < len(record):
                    raise truncated(geno, "it became shorter while it was read")
            dosages = _BYTE_TO_DOSAGES[records].reshape(n_samples, -1)
            n_rows = min(4 * size, n_variants - 4 * start)
            yield pack(np.ascontiguousarray(dosages[:, :n_rows].T))


def check_width(geno: Path, n_samples: int, n_variants: int) -> int:
    """Bytes of the end of a line of digits.

    Raises:
        DataError: the size of the file is not that of so many lines.
    """
    with open(geno, "rb") as stream:
        stream.seek(n_samples)
        n_end = 2 if stream.read(1) == b"\r" else 1
    width = n_samples + n_end
    if geno.stat().st_size not in (n_variants * width, n_variants * width - n_end):
        raise _bad_lines(geno, n_samples, n_variants)
    return n_end


def read_digits(geno: Path, n_samples: int, n_variants: int) -> Iterator[np.ndarray]:
    """Rows of an EIGENSTRAT file of digits, coded as in ``GenotypeMatrix``.

    Raises:
        DataError: it is not ``n_variants`` lines of ``n_samples`` of the digits 0, 1, 2, 9.
    """
    width = n_samples + check_width(geno, n_samples, n_variants)
    size = rows_in_batch((n_samples + 3) // 4)
    with open(geno, "rb") as stream:
        for start in range(0, n_variants, size):
            lines = np.full((min(size, n_variants - start), width), ord("\n"), dtype=np.uint8)
            block = np.frombuffer(stream.read(lines.size), dtype=np.uint8)
            lines.reshape(-1)[: len(block)] = block  # the last line may lack its end
            dosages = _DIGIT_TO_DOSAGE[lines[:, :n_samples]]
            if np.any(dosages < -1) or np.any(lines[:, -1] != ord("\n")):
                raise _bad_lines(geno, n_samples, n_variants)
            yield pack(dosages)


def _bad_lines(geno: Path, n_samples: int, n_variants: int) -> DataError:
    """The error for a text of other than ``n_variants`` lines of ``n_samples`` digits."""
    number = 0
    with open(geno, "rb") as stream:
        for number, line in enumerate(stream, start=1):
            digits = line.rstrip(b"\r\n")
            if len(digits) != n_samples:
                return DataError(
                    f"{len(digits)} genotypes, expected {n_samples}",
                    where=f"{geno}, line {number}",
                    why="the .ind has as many samples; the file may be truncated or belong to another .ind",
                    fix="copy the files of one fileset again",
                )
            other = digits.translate(None, b"0129")
            if other:
                return DataError(
                    f"genotype {chr(other[0])!r} is none of 0, 1, 2, 9",
                    where=f"{geno}, line {number}",
                    fix="repair or remove this line, here and in the .snp",
                )
    return DataError(
        f"{number} variants, expected {n_variants}",
        where=geno,
        why="the .snp has as many variants",
        fix="copy the files of one fileset again",
    )
