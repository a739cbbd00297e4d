"""VCF text to packed rows and variants, piece by piece, in threads.

Threads decompress and parse; both release the interpreter's lock. Each thread has one buffer, which a piece fills and
the next one overwrites: text is never anywhere but in a cache of a core.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from genovi.genotypes.building import decode_text, normalise_allele
from genovi.genotypes.choosing import Choice
from genovi.genotypes.matrix import VariantTable
from genovi.genotypes.pieces import Piece
from genovi.machine import available_cpus

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
        numbers: Which of the lines between these are, where others were not chosen, shape (n_lines,), int64.
        n_between: Lines between, chosen or not.
        end: Where the piece ends in the file, in bytes.
    """

    head: bytes
    tail: bytes | None
    rows: np.ndarray
    variants: VariantTable
    careful: dict[int, bytes]
    tally: np.ndarray
    numbers: np.ndarray
    n_between: int
    end: int


@dataclass(frozen=True)
class LineFormat:
    """What the lines of a file are, and which are wanted.

    Attributes:
        n_samples: Sample columns, at least 1.
        split: Make lines with several ALT alleles careful.
        choice: Lines elsewhere are passed over unread; None for all.
    """

    n_samples: int
    split: bool
    choice: Choice | None = None


def read_lines(pieces: Iterator[Piece], form: LineFormat) -> Iterator[Lines]:
    """The lines of each piece, in file order; threads work some pieces ahead.

    Args:
        pieces: Text of records.
        form: What they are.

    Raises:
        DataError: from a piece whose text cannot be had.
    """
    n_threads = min(_MOST_THREADS, available_cpus())
    buffers = threading.local()
    # Loads or compiles the loops in this thread, which an interrupt can end.
    _parse(Piece(0, lambda _: None, 0), form, buffers)
    waiting: deque[Future[Lines]] = deque()
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            for piece in pieces:
                waiting.append(pool.submit(_parse, piece, form, buffers))
                if len(waiting) > 2 * n_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _parse(piece: Piece, form: LineFormat, buffers: threading.local) -> Lines:
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
    n_between = linekernels.count_lines(text, first, last)
    numbers, spans = np.arange(n_between), [(0, n_between, first, last)]
    if form.choice is not None and n_between:
        numbers, spans = _chosen(text, raw, (first, last), n_between, form.choice)
    rows = np.zeros((len(numbers), (form.n_samples + 3) // 4), dtype=np.uint8)
    places = np.zeros((len(numbers), linekernels.N_PLACES), dtype=np.int64)
    tally = np.zeros(2, dtype=np.int64)
    most_alleles = 2 if form.split else _ANY_NUMBER
    for start, end, begins, ends in spans:
        here = slice(start, end)
        linekernels.vcf_lines(text, (begins, ends), form.n_samples, most_alleles, rows[here], places[here], tally)
    careful = {
        i: bytes(raw[places[i, linekernels.LINE] : places[i, linekernels.STOP]])
        for i in np.flatnonzero(places[:, linekernels.CAREFUL]).tolist()
    }
    tail = bytes(raw[last:stop]) if first else None
    variants = _variants(text, raw, places)
    return Lines(bytes(raw[: first or stop]), tail, rows, variants, careful, tally, numbers, n_between, piece.end)


def _chosen(
    text: np.ndarray, raw: bytearray, span: tuple[int, int], n_lines: int, choice: Choice
) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """Numbers of the lines that are wanted or odd, and runs of them: first and stop among these, and in bytes."""
    from genovi.genotypes import linekernels as columns

    places = np.zeros((n_lines, columns.N_PLACES), dtype=np.int64)
    columns.scan_lines(text, span, places)
    wanted = places[:, columns.CAREFUL] == 1
    starts = np.flatnonzero(places[:, columns.NEW_CHROM]).tolist()
    for start, stop in pairwise([*starts, n_lines]):
        name = decode_text(bytes(raw[places[start, columns.LINE] : places[start, columns.CHROM_END]]))
        if choice.on(name):
            wanted[start:stop] |= choice.mask_on(name, places[start:stop, columns.POS])
    numbers = np.flatnonzero(wanted)
    breaks = [0, *(np.flatnonzero(np.diff(numbers) > 1) + 1).tolist(), len(numbers)]
    runs = [
        (i, j, int(places[numbers[i], columns.LINE]), int(places[numbers[j - 1], columns.STOP]))
        for i, j in pairwise(breaks)
        if j > i
    ]
    return numbers, runs


def _variants(text: np.ndarray, raw: bytearray, places: np.ndarray) -> VariantTable:
    from genovi.genotypes import linekernels as columns

    chrom = np.empty(len(places), dtype=object)
    starts = np.flatnonzero(places[:, columns.NEW_CHROM]).tolist()
    for start, stop in pairwise([*starts, len(places)]):
        chrom[start:stop] = decode_text(bytes(raw[places[start, columns.LINE] : places[start, columns.CHROM_END]]))
    begins, ends = places[:, columns.ID], places[:, columns.ID_END]
    identifier = np.full(len(places), ".", dtype=object)
    named = np.flatnonzero((ends > begins) & ~((ends == begins + 1) & (text[begins] == ord("."))))
    identifier[named] = _apart(_joined(text, begins[named], ends[named]))
    return VariantTable(
        chrom,
        places[:, columns.POS],
        identifier,
        _alleles(text, ends, places[:, columns.REF_END]),
        _alleles(text, places[:, columns.REF_END], places[:, columns.ALT_END]),
    )


def _alleles(text: np.ndarray, befores: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Alleles that start a byte after ``befores``, in capitals, shape (n_lines,), object (str)."""
    names = _LETTERS[text[befores + 1]]
    long = np.flatnonzero(ends - befores > 2)
    raw = _joined(text, befores[long] + 1, ends[long])
    if raw.isascii() and not any(mark in raw for mark in b"<[]"):
        names[long] = _apart(raw.upper())
    else:
        names[long] = [normalise_allele(name) for name in _apart(raw)]
    return names


def _joined(text: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> bytes:
    """What stands between places of ``text``, none of which holds a line end, each with one after it."""
    from genovi.genotypes import linekernels

    joined = np.empty(int((ends - begins).sum()) + len(begins), dtype=np.uint8)
    linekernels.join_lines(text, begins, ends, joined)
    return joined.tobytes()


def _apart(raw: bytes) -> list[str]:
    """The texts of ``_joined``."""
    try:
        return raw.decode("utf-8").split("\n")[:-1]
    except UnicodeDecodeError:  # in one of them, which must not change how the others are read
        return [decode_text(one) for one in raw.split(b"\n")[:-1]]
