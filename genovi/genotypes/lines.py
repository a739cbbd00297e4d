"""VCF text to packed rows and variants, piece by piece, in threads.

Threads decompress and parse; both release the interpreter's lock. Each thread has one buffer, which a piece fills and
the next one overwrites: text is never anywhere but in a cache of a core.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from genovi.genotypes.building import decode_text, normalise_allele
from genovi.genotypes.matrix import VariantTable
from genovi.genotypes.pieces import Piece

_PADDING = 64  # zero bytes that the kernel may read beyond a piece
_ANY_NUMBER = 1 << 30
_MOST_THREADS = 8  # more do not pay: putting the pieces together is the work of one
_LETTERS = np.array([chr(code).upper() if code < 128 else chr(code) for code in range(256)], dtype=object)


@dataclass(frozen=True, eq=False)
class Lines:
    """What a piece of text holds.

    Attributes:
        head: Bytes up to and with its first line end: the end of a line that began in an earlier piece.
        tail: Bytes after its last line end; None where the piece has no line end at all.
        rows: PLINK 1 codes of the lines between, shape (n_lines, ceil(n_samples / 4)), uint8.
        variants: Their variants.
        careful: Lines that have to be read by themselves, by index; their row and variant mean nothing.
        tally: Half calls and haploid calls in the other lines, shape (2,), int64.
    """

    head: bytes
    tail: bytes | None
    rows: np.ndarray
    variants: VariantTable
    careful: dict[int, bytes]
    tally: np.ndarray


def read_lines(pieces: Iterator[Piece], n_samples: int, split: bool) -> Iterator[Lines]:
    """The lines of each piece, in file order; threads work some pieces ahead.

    Args:
        pieces: Text of records.
        n_samples: Sample columns, at least 1.
        split: Make lines with several ALT alleles careful.

    Raises:
        DataError: from a piece whose text cannot be had.
    """
    n_threads = min(_MOST_THREADS, available_cpus())
    buffers = threading.local()
    # Loads or compiles the loops in this thread, which an interrupt can end.
    _parse(Piece(0, lambda _: None), n_samples, split, buffers)
    waiting: deque[Future[Lines]] = deque()
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            for piece in pieces:
                waiting.append(pool.submit(_parse, piece, n_samples, split, buffers))
                if len(waiting) > 2 * n_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def available_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _parse(piece: Piece, n_samples: int, split: bool, buffers: threading.local) -> Lines:
    from genovi.genotypes import linekernels

    raw: bytearray = getattr(buffers, "raw", bytearray())
    if len(raw) < piece.size + _PADDING:
        raw = buffers.raw = bytearray(piece.size + _PADDING)
    stop = piece.size
    with memoryview(raw) as view:
        piece.fill(view[:stop])
    raw[stop : stop + _PADDING] = bytes(_PADDING)
    first, last = raw.find(b"\n", 0, stop) + 1, raw.rfind(b"\n", 0, stop) + 1
    text = np.frombuffer(raw, dtype=np.uint8)
    n_lines = linekernels.count_lines(text, first, last)
    rows = np.zeros((n_lines, (n_samples + 3) // 4), dtype=np.uint8)
    places = np.zeros((n_lines, linekernels.N_PLACES), dtype=np.int64)
    tally = np.zeros(2, dtype=np.int64)
    linekernels.vcf_lines(text, (first, last), n_samples, 2 if split else _ANY_NUMBER, rows, places, tally)
    careful = {
        i: bytes(raw[places[i, linekernels.LINE] : places[i, linekernels.STOP]])
        for i in np.flatnonzero(places[:, linekernels.CAREFUL]).tolist()
    }
    tail = bytes(raw[last:stop]) if first else None
    return Lines(bytes(raw[: first or stop]), tail, rows, _variants(text, raw, places), careful, tally)


def _variants(text: np.ndarray, raw: bytearray, places: np.ndarray) -> VariantTable:
    from genovi.genotypes import linekernels as columns

    chrom = np.empty(len(places), dtype=object)
    starts = np.flatnonzero(places[:, columns.NEW_CHROM]).tolist()
    for start, stop in pairwise([*starts, len(places)]):
        chrom[start:stop] = decode_text(bytes(raw[places[start, columns.LINE] : places[start, columns.CHROM_END]]))
    begins, ends = places[:, columns.ID], places[:, columns.ID_END]
    identifier = np.full(len(places), ".", dtype=object)
    named = (ends > begins) & ~((ends == begins + 1) & (text[begins] == ord(".")))
    for i in np.flatnonzero(named).tolist():
        identifier[i] = decode_text(bytes(raw[begins[i] : ends[i]]))
    return VariantTable(
        chrom,
        places[:, columns.POS],
        identifier,
        _alleles(text, raw, ends, places[:, columns.REF_END]),
        _alleles(text, raw, places[:, columns.REF_END], places[:, columns.ALT_END]),
    )


def _alleles(text: np.ndarray, raw: bytearray, befores: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Alleles that start a byte after ``befores``, in capitals, shape (n_lines,), object (str)."""
    names = _LETTERS[text[befores + 1]]
    for i in np.flatnonzero(ends - befores > 2).tolist():
        names[i] = normalise_allele(decode_text(bytes(raw[befores[i] + 1 : ends[i]])))
    return names
