"""Loops over packed genotypes and genotype text, compiled with numba.

Import it inside functions, as it loads numba. Coding as in ``matrix``: code 00 is two copies of the counted allele, 01
missing, 10 heterozygous, 11 none.
"""

from __future__ import annotations

import numpy as np

from genovi.genotypes.compiling import compiled

OK, TOO_FEW, TOO_MANY, MALFORMED, POLYPLOID, OUT_OF_RANGE = range(6)
_HALF, _HAPLOID = 0, 1  # places in ``tally``

_TAB, _COLON, _DOT, _SLASH, _BAR, _ZERO, _NINE = 9, 58, 46, 47, 124, 48, 57
_HOM_COUNTED, _MISSING, _HET, _HOM_OTHER = 0, 1, 2, 3
_PLAIN_CODES = (_HOM_OTHER, _HET, _HOM_COUNTED)  # by dosage


@compiled
def code_of(ploidy: int, n_counted: int, n_missing: int, n_other: int, tally: np.ndarray) -> int:
    """The two-bit code of one genotype from counts of its alleles."""
    if n_missing > 0:
        if n_missing < ploidy:
            tally[_HALF] += 1
        return _MISSING
    if ploidy == 1:
        tally[_HAPLOID] += 1
    if n_other > 0:
        return _MISSING
    if n_counted == 0:
        return _HOM_OTHER
    return _HOM_COUNTED if n_counted == ploidy else _HET


@compiled
def parse_genotype(text: np.ndarray, p: int, n_alleles: int, counted: int) -> tuple[int, int, int, int, int, int]:
    """Read one GT that starts at ``p``: status, place after it, and its alleles: all, counted, missing, others.

    ``counted`` is the number of the counted allele; where the record names no such allele, none is counted.
    """
    n = len(text)
    ploidy, n_counted, n_missing, n_other = 0, 0, 0, 0
    if p < n and (text[p] == _SLASH or text[p] == _BAR):
        p += 1  # VCF 4.4 may state the phase of the first allele
    while True:
        if p < n and text[p] == _DOT:
            n_missing += 1
            p += 1
        elif p < n and _ZERO <= text[p] <= _NINE:
            allele = 0
            while p < n and _ZERO <= text[p] <= _NINE:
                allele = min(allele * 10 + text[p] - _ZERO, 1_000_000)
                p += 1
            if allele >= n_alleles > 1:
                return OUT_OF_RANGE, p, ploidy, n_counted, n_missing, n_other
            is_counted = allele == counted < n_alleles
            n_counted += is_counted
            n_other += allele > 0 and not is_counted
        else:
            return MALFORMED, p, ploidy, n_counted, n_missing, n_other
        ploidy += 1
        if p == n or (text[p] != _SLASH and text[p] != _BAR):
            break
        p += 1
    status = OK if p == n or text[p] == _COLON or text[p] == _TAB else MALFORMED
    return status, p, ploidy, n_counted, n_missing, n_other


@compiled
def _is_plain(text: np.ndarray, p: int) -> bool:
    """Whether the column at ``p`` is two alleles, each 0 or 1, and nothing else."""
    n = len(text)
    if p + 3 > n or (p + 3 < n and text[p + 3] != _TAB) or (text[p + 1] != _SLASH and text[p + 1] != _BAR):
        return False
    return (text[p] | 1) == _ZERO + 1 and (text[p + 2] | 1) == _ZERO + 1


@compiled
def vcf_row(
    text: np.ndarray,
    n_samples: int,
    gt_index: int,
    n_alleles: int,
    counted: int,
    row: np.ndarray,
    tally: np.ndarray,
) -> tuple[int, int]:
    """Pack the genotypes of one VCF line.

    Args:
        text: The sample columns without the line end, shape (n_bytes,), uint8.
        n_samples: Columns expected.
        gt_index: Place of GT among the ``:``-separated parts of a column.
        n_alleles: REF and ALT alleles of the record; 1 where it names no ALT.
        counted: Number of the counted allele, from 1 on.
        row: Receives the codes, shape (ceil(n_samples / 4),), uint8, zero before. An ALT allele that is not counted,
            or any but REF where the record names no ALT, makes a genotype missing.
        tally: Counts of half calls and of haploid calls, shape (2,), int64, added to.

    Returns:
        Status and the index of the sample where it arose; at OK the index is n_samples.
    """
    n = len(text)
    p = 0
    for sample in range(n_samples):
        if p > n:
            return TOO_FEW, sample
        if gt_index == 0 and counted == 1 < n_alleles and _is_plain(text, p):  # nearly always
            row[sample >> 2] |= np.uint8(_PLAIN_CODES[text[p] + text[p + 2] - 2 * _ZERO] << (2 * (sample & 3)))
            p += 4
            continue
        for _ in range(gt_index):
            while p < n and text[p] != _COLON and text[p] != _TAB:
                p += 1
            if p < n and text[p] == _COLON:
                p += 1
        if gt_index > 0 and (p == n or text[p] == _TAB):
            code = _MISSING  # trailing parts may be left out
        else:
            status, p, ploidy, n_counted, n_missing, n_other = parse_genotype(text, p, n_alleles, counted)
            if status != OK:
                return status, sample
            if ploidy > 2:
                return POLYPLOID, sample
            code = code_of(ploidy, n_counted, n_missing, n_other, tally)
        row[sample >> 2] |= np.uint8(code << (2 * (sample & 3)))
        while p < n and text[p] != _TAB:
            p += 1
        p += 1  # past the tab; n + 1 after the last column
    if p <= n:
        return TOO_MANY, n_samples
    return OK, n_samples


@compiled
def bcf_row(alleles: np.ndarray, n_alleles: int, counted: int, row: np.ndarray, tally: np.ndarray) -> tuple[int, int]:
    """Pack the genotypes of one BCF record.

    Args:
        alleles: Allele indices, shape (n_samples, ploidy), int32: -1 where missing, -2 beyond the end of the vector.
        n_alleles: As in ``vcf_row``.
        counted: As in ``vcf_row``.
        row: Receives the codes, as in ``vcf_row``.
        tally: Counts of half calls and of haploid calls, as in ``vcf_row``.

    Returns:
        Status and sample, as in ``vcf_row``.
    """
    n_samples, width = alleles.shape
    for sample in range(n_samples):
        ploidy, n_counted, n_missing, n_other = 0, 0, 0, 0
        for k in range(width):
            allele = alleles[sample, k]
            if allele == -2:
                break
            if allele < -2 or allele >= n_alleles > 1:
                return OUT_OF_RANGE, sample
            ploidy += 1
            n_missing += allele == -1
            is_counted = allele == counted < n_alleles
            n_counted += is_counted
            n_other += allele > 0 and not is_counted
        if ploidy > 2:
            return POLYPLOID, sample
        if ploidy == 0:
            ploidy, n_missing = 1, 1
        row[sample >> 2] |= np.uint8(code_of(ploidy, n_counted, n_missing, n_other, tally) << (2 * (sample & 3)))
    return OK, n_samples


@compiled
def take_codes(packed: np.ndarray, index: np.ndarray, out: np.ndarray) -> None:
    """Repack the samples at ``index``.

    Args:
        packed: PLINK 1 codes, shape (n_variants, n_bytes), uint8.
        index: Places of the samples in it, shape (n_taken,), int64.
        out: Receives the codes, shape (n_variants, ceil(n_taken / 4)), uint8, zero before.
    """
    for i in range(packed.shape[0]):
        for k in range(len(index)):
            sample = index[k]
            out[i, k >> 2] |= np.uint8(((packed[i, sample >> 2] >> (2 * (sample & 3))) & 3) << (2 * (k & 3)))


@compiled
def ones(word: np.uint64) -> np.uint64:
    """Bits set in ``word``; the compiler turns this pattern into one instruction where there is one."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


@compiled
def count_codes(packed: np.ndarray, n_samples: int, per_variant: np.ndarray, sample_missing: np.ndarray) -> None:
    """Count codes by variant and missing genotypes by sample.

    Args:
        packed: PLINK 1 codes, shape (n_variants, ceil(n_samples / 4)), uint8.
        n_samples: Samples; codes beyond them are ignored.
        per_variant: Receives counts of the codes 00, 01, 10, 11, shape (n_variants, 4), int64.
        sample_missing: Added to, shape (n_samples,), int64.
    """
    n_words = n_samples >> 5
    scratch = np.zeros(8 * n_words, dtype=np.uint8)
    words = scratch.view(np.uint64)
    lower = np.uint64(0x5555555555555555)
    for i in range(packed.shape[0]):
        scratch[:] = packed[i, : 8 * n_words]
        n_missing, n_het, n_other = 0, 0, 0
        for w in range(n_words):
            low, high = words[w] & lower, (words[w] >> np.uint64(1)) & lower
            n_het += ones(high & ~low)
            n_other += ones(high & low)
            missing = low & ~high
            n_missing += ones(missing)
            if missing:
                for k in range(32):
                    sample_missing[32 * w + k] += (missing >> np.uint64(2 * k)) & np.uint64(1)
        per_variant[i, 0] = 32 * n_words - n_missing - n_het - n_other
        per_variant[i, 1], per_variant[i, 2], per_variant[i, 3] = n_missing, n_het, n_other
        for sample in range(32 * n_words, n_samples):
            code = (packed[i, sample >> 2] >> (2 * (sample & 3))) & 3
            per_variant[i, code] += 1
            if code == _MISSING:
                sample_missing[sample] += 1


@compiled
def _even_bits(word: np.uint64) -> np.uint64:
    """Bits 0, 2, 4, ... of ``word``, moved together into its lower half."""
    word = word & np.uint64(0x5555555555555555)
    word = (word | (word >> np.uint64(1))) & np.uint64(0x3333333333333333)
    word = (word | (word >> np.uint64(2))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    word = (word | (word >> np.uint64(4))) & np.uint64(0x00FF00FF00FF00FF)
    word = (word | (word >> np.uint64(8))) & np.uint64(0x0000FFFF0000FFFF)
    return (word | (word >> np.uint64(16))) & np.uint64(0x00000000FFFFFFFF)


@compiled
def _planes(row: np.ndarray, n_samples: int, scratch: np.ndarray, planes: np.ndarray, sums: np.ndarray) -> None:
    """Split packed codes into bit planes of 64 samples a word: observed, homozygous, homozygous without counted.

    ``scratch`` has 16 bytes a word, zero beyond the row. ``sums`` receives the number of observed samples, and over
    them the sums of x = dosage - 1 and of x^2.
    """
    scratch[: len(row)] = row
    words = scratch.view(np.uint64)
    half = np.uint64(32)
    n_observed, n_homozygous, n_without = 0, 0, 0
    for w in range(planes.shape[1]):
        first, second = words[2 * w], words[2 * w + 1]
        low = _even_bits(first) | (_even_bits(second) << half)
        high = _even_bits(first >> np.uint64(1)) | (_even_bits(second >> np.uint64(1)) << half)
        n_here = n_samples - 64 * w
        here = ~np.uint64(0) if n_here >= 64 else (np.uint64(1) << np.uint64(n_here)) - np.uint64(1)
        planes[0, w] = (~low | high) & here
        planes[1, w] = ~(low ^ high) & here
        planes[2, w] = low & high & here
        n_observed += ones(planes[0, w])
        n_homozygous += ones(planes[1, w])
        n_without += ones(planes[2, w])
    sums[0], sums[1], sums[2] = n_observed, n_homozygous - 2 * n_without, n_homozygous


@compiled
def _complete_r2(a: np.ndarray, b: np.ndarray, sums_a: np.ndarray, sums_b: np.ndarray) -> float:
    """``_r2`` where nobody is missing: all sums but that of products are known."""
    n_both, n_opposite = 0, 0
    for w in range(a.shape[1]):
        both = a[1, w] & b[1, w]
        n_both += ones(both)
        n_opposite += ones(both & (a[2, w] ^ b[2, w]))
    n = sums_a[0]
    covariance = float(n * (n_both - 2 * n_opposite) - sums_a[1] * sums_b[1])
    variances = float(n * sums_a[2] - sums_a[1] ** 2) * float(n * sums_b[2] - sums_b[1] ** 2)
    return covariance * covariance / variances if variances > 0 else 0.0


@compiled
def _r2(a: np.ndarray, b: np.ndarray) -> float:
    """Squared correlation of dosages of two variants over samples observed in both; 0 where it is not defined.

    With x = dosage - 1 in {-1, 0, 1}, sums of x, x^2 and xy are differences of bit counts: x^2 is the homozygous plane
    and the sign of x the last plane.
    """
    n, sum_a, sum_b, square_a, square_b, product = 0, 0, 0, 0, 0, 0
    for w in range(a.shape[1]):
        n += ones(a[0, w] & b[0, w])
        hom_a, hom_b = a[1, w] & b[0, w], b[1, w] & a[0, w]
        count_a, count_b = ones(hom_a), ones(hom_b)
        square_a += count_a
        square_b += count_b
        sum_a += count_a - 2 * ones(hom_a & a[2, w])
        sum_b += count_b - 2 * ones(hom_b & b[2, w])
        both = hom_a & hom_b
        product += ones(both) - 2 * ones(both & (a[2, w] ^ b[2, w]))
    covariance = float(n * product - sum_a * sum_b)
    variances = float(n * square_a - sum_a * sum_a) * float(n * square_b - sum_b * sum_b)
    return covariance * covariance / variances if variances > 0 else 0.0


@compiled
def prune(
    packed: np.ndarray,
    order: np.ndarray,
    n_samples: int,
    minor_frequency: np.ndarray,
    window: int,
    step: int,
    r2: float,
    kept: np.ndarray,
) -> None:
    """Prune one chromosome by pairwise r2 in sliding windows.

    Args:
        packed: All codes, shape (n_variants, n_bytes), uint8.
        order: Rows of this chromosome by position, shape (n_rows,), int64.
        n_samples: Samples.
        minor_frequency: shape (n_variants,), float64.
        window: Variants in a window.
        step: Variants by which the window moves on.
        r2: Largest squared correlation that a kept pair may have.
        kept: Set to False for pruned rows, shape (n_variants,), bool.
    """
    n_words = (n_samples + 63) >> 6
    planes = np.zeros((window, 3, n_words), dtype=np.uint64)  # a ring: row i of the chromosome lies at i % window
    sums = np.zeros((window, 3), dtype=np.int64)
    scratch = np.zeros(16 * n_words, dtype=np.uint8)
    compared = np.zeros(window, dtype=np.int64)  # the last row that each row of the ring was compared with
    loaded = 0
    start = 0
    while start < len(order):
        end = min(start + window, len(order))
        for i in range(loaded, end):
            _planes(packed[order[i]], n_samples, scratch, planes[i % window], sums[i % window])
            compared[i % window] = i
        loaded = end
        changed = True
        while changed:
            changed = False
            for i in range(start, end):
                a = i % window
                for j in range(compared[a] + 1, end):
                    if not kept[order[i]]:
                        break
                    compared[a] = j
                    if not kept[order[j]]:
                        continue
                    b = j % window
                    if sums[a, 0] == n_samples and sums[b, 0] == n_samples:
                        squared = _complete_r2(planes[a], planes[b], sums[a], sums[b])
                    else:
                        squared = _r2(planes[a], planes[b])
                    if squared > r2:
                        changed = True
                        rarer = minor_frequency[order[i]] < minor_frequency[order[j]] * (1 - 1e-9)
                        kept[order[i] if rarer else order[j]] = False
                        break
        if end == len(order):
            break
        start += step
