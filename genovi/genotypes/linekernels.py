"""Many VCF lines at once: fixed columns and genotypes of a piece of text, compiled with numba.

The common ways to write a diploid genotype (``0/1``, ``0|1``, ``./.``, alone or followed by other fields) are told by
comparing whole machine words; anything else of a genotype goes to ``kernels.parse_genotype``. Whatever is odd about a
line (columns missing, a position in words, three alleles, no GT) is not judged here: the line is marked, and
``vcf`` reads it again by itself, where a fault gets its message. Import inside functions, as ``kernels``.

Words are read little-endian; the text is followed by 64 zero bytes, which may be read.
"""

from __future__ import annotations

import numpy as np

from genovi.genotypes.compiling import compiled
from genovi.genotypes.kernels import OK, code_of, parse_genotype, vcf_row
from genovi.genotypes.words import controls, lowest, newline_bits, newlines, word32, word64

# Columns of ``places``: byte offsets into the text, except POS (the position) CAREFUL (1: read this
# line by itself) and NEW_CHROM (1: CHROM is not that of the line before, or that one is unknown).
LINE, CHROM_END, POS, ID, ID_END, REF_END, ALT_END, STOP, CAREFUL, NEW_CHROM = range(10)
N_PLACES = 10
_LONGEST_POS = 12  # digits

_TAB, _NEWLINE, _RETURN, _COLON, _DOT, _COMMA, _HASH, _ZERO, _NINE = 9, 10, 13, 58, 46, 44, 35, 48, 57
_G, _T = 71, 84
_MISSING = 1
_PLAIN_CODES = (3, 2, 0)  # by dosage

# One genotype is the bytes allele, separator, allele, end. The lowest bit of an allele 0 or 1 is masked out.
_ONE = np.uint32(0x00FEFFFE)
_ONE_BARRED = np.uint32(0x00307C30)
_ONE_SLASHED = np.uint32(0x00302F30)
_WHOLE = np.uint32(0x00FFFFFF)
_MISSING_BARRED = np.uint32(0x002E7C2E)
_MISSING_SLASHED = np.uint32(0x002E2F2E)
# Two genotypes that end with tabs.
_TWO = np.uint64(0xFFFEFFFEFFFEFFFE)
_TWO_BARRED = np.uint64(0x09307C3009307C30)
_TWO_SLASHED = np.uint64(0x09302F3009302F30)
_FIRST_ALLELES = np.uint64(0x0000000100000001)


@compiled
def _next_control(text: np.ndarray, p: int) -> int:
    """Place of the first byte below 14 at or after ``p``; the padding holds one."""
    mask = controls(text, p)
    while mask == 0:
        p += 64
        mask = controls(text, p)
    return p + lowest(mask)


@compiled
def _gt_place(text: np.ndarray, p: int, end: int) -> int:
    """Place of GT among the parts of the FORMAT from ``p`` to ``end``; -1 where it is not there."""
    place = 0
    while not (text[p] == _G and text[p + 1] == _T and (text[p + 2] == _COLON or p + 2 == end)):
        while p < end and text[p] != _COLON:
            p += 1
        if p == end:
            return -1
        p += 1
        place += 1
    return place


@compiled
def _fixed_columns(text: np.ndarray, p: int, place: np.ndarray) -> tuple[int, int, int]:
    """Read CHROM to FORMAT of the line at ``p`` into ``place``: start of the samples, number of alleles, place of GT.

    The start is -1 where anything is odd.
    """
    odd = (-1, 0, 0)
    q = _next_control(text, p)
    if q == p or text[q] != _TAB or text[p] == _HASH:
        return odd
    place[CHROM_END] = q
    p = q + 1
    pos = 0
    while _ZERO <= text[p] <= _NINE and p - q <= _LONGEST_POS:
        pos = pos * 10 + text[p] - _ZERO
        p += 1
    if p == q + 1 or text[p] != _TAB:
        return odd
    place[POS] = pos
    place[ID] = p + 1
    for column in range(6):  # ID, REF, ALT, QUAL, FILTER, INFO
        q = _next_control(text, p + 1)
        if text[q] != _TAB or (q == p + 1 and 1 <= column <= 2):
            return odd
        if column < 3:
            place[ID_END + column] = q
        p = q
    alt = place[REF_END] + 1
    n_alleles = 2
    for k in range(alt, place[ALT_END]):
        n_alleles += text[k] == _COMMA
    if place[ALT_END] == alt + 1 and text[alt] == _DOT:
        n_alleles = 1
    p += 1
    q = _next_control(text, p)
    if text[q] != _TAB:
        return odd
    gt_place = _gt_place(text, p, q)
    if gt_place < 0:
        return odd
    return q + 1, n_alleles, gt_place


@compiled
def _any_code(text: np.ndarray, p: int, end: int, n_alleles: int, tally: np.ndarray) -> int:
    """The code of the column from ``p`` to ``end``, however it is written; -1 where it is odd."""
    status, _, ploidy, n_counted, n_missing, n_other = parse_genotype(text[:end], p, n_alleles, 1)
    if status != OK or ploidy > 2:
        return -1
    return code_of(ploidy, n_counted, n_missing, n_other, tally)


@compiled
def _line_end(text: np.ndarray, p: int) -> int:
    """Place after the line end at ``p``; -1 where there is none."""
    p += text[p] == _RETURN
    return p + 1 if text[p] == _NEWLINE else -1


@compiled
def _bare_genotypes(
    text: np.ndarray, p: int, n_samples: int, n_alleles: int, row: np.ndarray, tally: np.ndarray
) -> int:
    """Pack columns that hold GT alone, from ``p`` on; returns the place after the line, or -1."""
    sample = 0
    while True:
        if (sample & 3) == 0 and sample + 4 < n_samples:
            low, high = word64(text, p), word64(text, p + 8)
            plain_low = (low & _TWO) == _TWO_BARRED or (low & _TWO) == _TWO_SLASHED
            if plain_low and ((high & _TWO) == _TWO_BARRED or (high & _TWO) == _TWO_SLASHED):
                # Code of alleles a, b: the lower bit is not (a or b), the higher one not (a and b).
                bits = (low & _FIRST_ALLELES) | ((high & _FIRST_ALLELES) << np.uint64(4))
                second = ((low >> np.uint64(16)) & _FIRST_ALLELES) | (
                    ((high >> np.uint64(16)) & _FIRST_ALLELES) << np.uint64(4)
                )
                code = (~(bits | second) & np.uint64(0x0000001100000011)) | (
                    (~(bits & second) & np.uint64(0x0000001100000011)) << np.uint64(1)
                )
                row[sample >> 2] = np.uint8((code | (code >> np.uint64(30))) & np.uint64(0xFF))
                sample += 4
                p += 16
                continue
        word = word32(text, p)
        end = p + 3
        if ((word & _ONE) == _ONE_SLASHED or (word & _ONE) == _ONE_BARRED) and text[end] <= _RETURN:
            code1 = _PLAIN_CODES[(word & 1) + ((word >> 16) & 1)]
        else:
            end = _next_control(text, p)
            code1 = _any_code(text, p, end, n_alleles, tally)
            if code1 < 0:
                return -1
        row[sample >> 2] |= np.uint8(code1 << (2 * (sample & 3)))
        sample += 1
        if sample == n_samples:
            return _line_end(text, end)
        if text[end] != _TAB:
            return -1
        p = end + 1


@compiled
def _leading_genotypes(
    text: np.ndarray, p: int, n_samples: int, n_alleles: int, row: np.ndarray, tally: np.ndarray
) -> int:
    """Pack columns that begin with GT, from ``p`` on; returns the place after the line, or -1."""
    window = p
    bits = controls(text, p)
    for sample in range(n_samples):
        while bits == 0:
            window += 64
            bits = controls(text, window)
        end = window + lowest(bits)
        bits &= bits - np.uint64(1)
        word = word32(text, p)
        whole = text[p + 3] == _COLON or p + 3 == end
        if whole and ((word & _ONE) == _ONE_SLASHED or (word & _ONE) == _ONE_BARRED):
            code = _PLAIN_CODES[(word & 1) + ((word >> 16) & 1)]
        elif whole and ((word & _WHOLE) == _MISSING_SLASHED or (word & _WHOLE) == _MISSING_BARRED):
            code = _MISSING
        else:
            code = _any_code(text, p, end, n_alleles, tally)
            if code < 0:
                return -1
        row[sample >> 2] |= np.uint8(code << (2 * (sample & 3)))
        if sample < n_samples - 1 and text[end] != _TAB:
            return -1
        p = end + 1
    return _line_end(text, p - 1)


@compiled
def _other_genotypes(text: np.ndarray, p: int, shape: tuple[int, int, int], row: np.ndarray, tally: np.ndarray) -> int:
    """Pack columns with GT at any place (``shape``: samples, alleles, place of GT); returns as the others do."""
    n_samples, n_alleles, gt_place = shape
    end = _next_control(text, p)
    while text[end] == _TAB:
        end = _next_control(text, end + 1)
    status, _ = vcf_row(text[p:end], n_samples, gt_place, n_alleles, 1, row, tally)
    return _line_end(text, end) if status == OK else -1


@compiled
def _same_chrom(text: np.ndarray, before: np.ndarray, place: np.ndarray) -> bool:
    """Whether two lines have the same CHROM; False where the first is careful."""
    length = place[CHROM_END] - place[LINE]
    if before[CAREFUL] or before[CHROM_END] - before[LINE] != length:
        return False
    k = 0
    while k < length and text[before[LINE] + k] == text[place[LINE] + k]:
        k += 1
    return k == length


@compiled
def count_lines(text: np.ndarray, start: int, stop: int) -> int:
    """Line ends in ``text`` from ``start`` on, the last of which lies before ``stop``; 64 bytes follow as padding."""
    n = 0
    for k in range(start, stop, 64):
        n += newlines(text, k)
    return n


@compiled
def join_lines(text: np.ndarray, begins: np.ndarray, ends: np.ndarray, joined: np.ndarray) -> None:
    """Copy stretches of ``text`` one after another, a newline after each.

    Args:
        text: shape (n_bytes,), uint8.
        begins: Places of their first bytes, shape (n,), int64.
        ends: Places after their last ones.
        joined: Receives them, shape (sum of lengths + n,), uint8.
    """
    p = 0
    for i in range(len(begins)):
        for k in range(begins[i], ends[i]):
            joined[p] = text[k]
            p += 1
        joined[p] = _NEWLINE
        p += 1


@compiled
def scan_lines(text: np.ndarray, span: tuple[int, int], places: np.ndarray) -> None:
    """Find the lines of a piece of text, and the CHROM and POS of each.

    Args:
        text: As for ``vcf_lines``.
        span: As for ``vcf_lines``.
        places: Receives LINE, CHROM_END, POS, STOP, NEW_CHROM, and CAREFUL where CHROM or POS is odd, shape
            (n_lines, N_PLACES), int64, zero before.
    """
    i = 0
    p, stop = span
    while p < stop:
        place = places[i]
        place[LINE] = p
        q = _next_control(text, p)
        place[CHROM_END] = q
        digits = q + 1
        end = digits
        pos = 0
        if text[q] == _TAB:
            while _ZERO <= text[end] <= _NINE and end - digits < _LONGEST_POS:
                pos = pos * 10 + text[end] - _ZERO
                end += 1
            q = end
        place[POS] = pos
        place[CAREFUL] = q == p or end == digits or text[end] != _TAB or text[p] == _HASH
        place[NEW_CHROM] = i == 0 or not _same_chrom(text, places[i - 1], place)
        while True:
            bits = newline_bits(text, q)
            if bits != 0:
                break
            q += 64
        p = q + lowest(bits) + 1
        place[STOP] = p
        i += 1


@compiled
def vcf_lines(
    text: np.ndarray,
    span: tuple[int, int],
    n_samples: int,
    most_alleles: int,
    rows: np.ndarray,
    places: np.ndarray,
    tally: np.ndarray,
) -> int:
    """Pack the VCF lines of a piece of text.

    Args:
        text: Bytes, 64 of them after the last line, shape (n_bytes,), uint8.
        span: Places of the first line and after the last one, whose line end is the byte before.
        n_samples: Sample columns, at least 1.
        most_alleles: Lines with more alleles than that are careful.
        rows: Receives the codes, shape (n_lines, ceil(n_samples / 4)), uint8, zero before.
        places: Receives what ``LINE`` to ``NEW_CHROM`` say, shape (n_lines, N_PLACES), int64, zero before. Where
            CAREFUL is 1 only LINE and STOP (the line end included) count, and the row is zero.
        tally: Counts of half calls and of haploid calls, shape (2,), int64, added to.

    Returns:
        The number of lines.
    """
    i = 0
    p, stop = span
    before = np.zeros_like(tally)
    while p < stop:
        place = places[i]
        place[LINE] = p
        before[:] = tally
        columns, n_alleles, gt_place = _fixed_columns(text, p, place)
        if columns < 0 or n_alleles > most_alleles:
            end = -1
        elif gt_place > 0 or n_alleles == 1:
            end = _other_genotypes(text, columns, (n_samples, n_alleles, gt_place), rows[i], tally)
        elif text[columns - 2] == _T and text[columns - 4] == _TAB:
            end = _bare_genotypes(text, columns, n_samples, n_alleles, rows[i], tally)
        else:
            end = _leading_genotypes(text, columns, n_samples, n_alleles, rows[i], tally)
        if end < 0 or end > stop:
            place[CHROM_END:] = 0
            place[CAREFUL] = 1
            tally[:] = before
            rows[i] = 0
            end = p
            while text[end] != _NEWLINE:
                end = _next_control(text, end + 1)
            end += 1
        else:
            place[NEW_CHROM] = i == 0 or not _same_chrom(text, places[i - 1], place)
        place[STOP] = end
        p = end
        i += 1
    return i
