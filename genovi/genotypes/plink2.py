"""PLINK 2 binary filesets: ``.pgen`` (genotypes), ``.pvar`` or ``.pvar.zst`` (variants), ``.psam`` (samples).

Genotypes are read through pgenlib (the optional extra ``pgen``) a block of variants at a time. ALT is the counted
allele, as in VCF; a multi-allelic variant stays one row, and genotypes with a later ALT allele are missing in it. Hard
calls are read, not dosages. Without a header line ``.pvar`` has the columns of a ``.bim``, whose fifth is ALT here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from genovi.errors import DataError
from genovi.genotypes.batches import Rows, Source, rows_in_batch, rows_source
from genovi.genotypes.bgzf import sniff, truncated
from genovi.genotypes.building import decode_text
from genovi.genotypes.filesets import (
    VariantRows,
    head_of,
    missing_part,
    name_samples,
    part,
    read_text,
    regular_columns,
    regular_variants,
    table_rows,
)
from genovi.genotypes.matrix import InputFacts, VariantTable, pack
from genovi.genotypes.vcfheader import HeaderEvidence

MAGIC = b"\x6c\x1b"
_PLINK1_MODES = (0x00, 0x01)
_EXTERNAL_INDEX = (0x20, 0x21)
_WHY = "a PLINK 2 fileset is a .pgen, a .pvar (or .pvar.zst) and a .psam of one name"
_RENAME = "give them different IIDs in the .psam, or different FIDs"
SUFFIXES = (".pgen", ".pvar", ".pvar.zst", ".psam")
_PVAR_COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT")
_FEW_COLUMNS = 8  # with more, cells that nobody needs would take the memory
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def plink2_prefix(path: Path) -> Path | None:
    """The prefix of the fileset that ``path`` names by its prefix or by one of its files; None if it is none."""
    text = str(path)
    suffix = next((one for one in SUFFIXES if text.endswith(one)), None)
    if suffix is not None and (suffix != ".pgen" or not path.is_file() or is_pgen(head_of(path)[:3], bed_too=True)):
        return Path(text.removesuffix(suffix))
    return path if not path.is_file() and part(path, ".pgen").is_file() else None


def is_pgen(head: bytes, *, bed_too: bool = False) -> bool:
    """Whether a file that starts with ``head`` is a ``.pgen``; with ``bed_too``, also one in the form of a ``.bed``."""
    return len(head) > 2 and head.startswith(MAGIC) and (bed_too or head[2] not in _PLINK1_MODES)


def plink2_source(prefix: Path) -> Source:
    """Open a PLINK 2 fileset; its genotypes are read in batches.

    Args:
        prefix: Path of the fileset without ``.pgen``, ``.pvar``, ``.psam``.

    Returns:
        One row a variant, in file order. Samples are named by IID, or by FID_IID where IIDs repeat.

    Raises:
        DataError: a file is missing or malformed, or the three contradict each other. While it is read also: pgenlib
            is not installed, or the ``.pgen`` is damaged.
    """
    pgen, psam = part(prefix, ".pgen"), part(prefix, ".psam")
    pvar = next((path for path in (part(prefix, ".pvar"), part(prefix, ".pvar.zst")) if path.exists()), None)
    for path in (pgen, psam):
        if not path.exists():
            raise missing_part(path, _WHY)
    if pvar is None:
        raise missing_part(part(prefix, ".pvar"), _WHY)
    _check_header(pgen)
    samples = _read_psam(psam)
    evidence = HeaderEvidence()
    variants = _read_pvar(pvar, evidence)
    _check_counts(pgen, len(variants), len(samples))
    facts = InputFacts(("PLINK 2",), tuple(evidence.references), evidence.contig_lengths)

    def rows() -> Rows:
        yield from _read_pgen(pgen, variants, len(samples))
        return facts

    return rows_source(str(pgen), "PLINK 2", samples, variants, pgen.stat().st_size, rows)


def _check_header(pgen: Path) -> None:
    head = sniff(pgen).head
    if not is_pgen(head, bed_too=True):
        raise DataError(
            "not a PLINK 2 .pgen file",
            where=pgen,
            why="it does not start with the bytes 6c 1b",
            fix="make it again with `plink2 --make-pgen`",
        )
    if head[2] == 0x00:
        raise DataError(
            "a sample-major .bed under the name of a .pgen",
            where=pgen,
            fix="convert it with `plink1.9 --bfile PREFIX --make-bed --out NEW`",
        )
    if head[2] in _EXTERNAL_INDEX:
        raise DataError(
            "a .pgen whose index is in a .pgi file",
            where=pgen,
            why="genovi reads those that hold their index",
            fix="convert it with `plink2 --pfile PREFIX --make-pgen --out NEW`",
        )


def _check_counts(pgen: Path, n_variants: int, n_samples: int) -> None:
    head = sniff(pgen).head
    if head[2] in _PLINK1_MODES:
        expected = 3 + n_variants * ((n_samples + 3) // 4)
        agree, found = pgen.stat().st_size == expected, f"{pgen.stat().st_size} bytes, expected {expected}"
    else:
        if len(head) < 11:
            raise _damaged(pgen, "it ends inside its header")
        n_inside = (int.from_bytes(head[3:7], "little"), int.from_bytes(head[7:11], "little"))
        agree, found = n_inside == (n_variants, n_samples), f"{n_inside[0]} variants x {n_inside[1]} samples"
    if not agree:
        raise DataError(
            f"the files of the fileset contradict each other: the .pgen has {found}",
            where=pgen,
            why=f"the .pvar has {n_variants} variants and the .psam {n_samples} samples",
            fix="copy the files of one fileset again",
        )


def _damaged(pgen: Path, why: str) -> DataError:
    return DataError(
        "truncated or damaged .pgen file",
        where=pgen,
        why=why,
        fix="copy it again; `plink2 --pfile PREFIX --validate` tests it",
    )


def _read_pgen(pgen: Path, variants: VariantTable, n_samples: int) -> Iterator[np.ndarray]:
    n_variants = len(variants)
    n_alleles = np.array([2 + alt.count(",") for alt in variants.alt.tolist()], dtype=np.int64)
    size = rows_in_batch((n_samples + 3) // 4)
    try:
        reader = _open_pgen(pgen, n_alleles, n_samples)
        try:
            for start in range(0, n_variants, size):
                stop = min(start + size, n_variants)
                block = np.empty((stop - start, n_samples), dtype=np.int8)
                reader.read_range(start, stop, block)
                block[block < 0] = -1
                for row in np.flatnonzero(n_alleles[start:stop] > 2):
                    block[row] = _first_alt(reader, start + int(row), n_samples)
                yield pack(block)
        finally:
            reader.close()
    except RuntimeError as error:
        raise _damaged(pgen, _reason(error)) from error


def _open_pgen(pgen: Path, n_alleles: np.ndarray, n_samples: int) -> Any:
    try:
        from pgenlib import PgenReader
    except ImportError as error:
        raise _missing_extra("pgenlib", pgen) from error
    offsets = np.concatenate([[0], np.cumsum(n_alleles)]).astype(np.uintp) if np.any(n_alleles > 2) else None
    return PgenReader(
        bytes(pgen.absolute()), raw_sample_ct=n_samples, variant_ct=len(n_alleles), allele_idx_offsets=offsets
    )


def _missing_extra(package: str, path: Path) -> DataError:
    return DataError(
        f"reading this file needs the package {package}, which is not installed",
        where=path,
        why="PLINK 2 filesets are an optional extra",
        fix="pip install 'genovi-popgen[pgen]', or convert it with `plink2 --pfile PREFIX --make-bed --out NEW`",
    )


def _first_alt(reader: Any, variant: int, n_samples: int) -> np.ndarray:
    """Dosage of the first ALT allele of a multi-allelic variant, missing where there is a later one; (n_samples,)."""
    alleles = np.empty(2 * n_samples, dtype=np.int32)
    reader.read_alleles(variant, alleles)
    pairs = alleles.reshape(n_samples, 2)
    return np.where(((pairs < 0) | (pairs > 1)).any(axis=1), -1, pairs.sum(axis=1)).astype(np.int8)


def _reason(error: RuntimeError) -> str:
    text = error.args[0] if error.args else ""
    return (text.decode(errors="replace") if isinstance(text, bytes) else str(text)).strip().rstrip(".")


def _read_psam(path: Path) -> tuple[str, ...]:
    lines = read_text(path).split("\n")
    n_header = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    header = next((line.split() for line in reversed(lines[:n_header]) if line.startswith(("#FID", "#IID"))), None)
    body = "\n" * n_header + "\n".join(lines[n_header:])
    if header is None:  # as a .fam, or its first five columns
        rows = [cells for _, cells in table_rows(path, body, (5, 6), "FID IID father mother sex phenotype")]
        return name_samples([cells[0] for cells in rows], [cells[1] for cells in rows], path, _RENAME)
    if "#IID" not in header and "IID" not in header:
        raise DataError("no column IID", where=path, why="it names the samples", fix="write the .psam again")
    rows = [cells for _, cells in table_rows(path, body, (len(header),), " ".join(header))]
    iid = header.index("#IID" if "#IID" in header else "IID")
    families = [cells[header.index("#FID")] if "#FID" in header else "0" for cells in rows]
    fix = _RENAME
    if "SID" in header:
        fix = "samples that differ by SID alone have one name here: write the SID into IID, or keep one of them"
    return name_samples(families, [cells[iid] for cells in rows], path, fix)


def _pvar_text(path: Path) -> str:
    if not head_of(path).startswith(_ZSTD_MAGIC):
        return read_text(path)
    try:
        import zstandard
    except ImportError as error:
        raise _missing_extra("zstandard", path) from error
    data, texts = path.read_bytes(), []
    try:
        while data:  # frame by frame
            frame = zstandard.ZstdDecompressor().decompressobj()
            texts.append(frame.decompress(data))
            if not frame.eof:
                raise truncated(path, "the compressed stream has no end")
            data = frame.unused_data
    except zstandard.ZstdError as error:
        raise DataError(
            "damaged Zstandard data", where=path, why=str(error), fix="copy it again; `zstd -t` tests it"
        ) from error
    return decode_text(b"".join(texts))


def _read_pvar(path: Path, evidence: HeaderEvidence) -> VariantTable:
    text = _pvar_text(path)
    regular = _regular_pvar(text, path, evidence)
    if regular is not None:
        return regular
    rows = VariantRows(path)
    places: tuple[int, ...] | None = None
    n_split = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("##"):
            evidence.add(line.rstrip("\r").encode())
            continue
        if line.startswith("#"):
            places = _pvar_places(line.split(), path, number)
            n_split = max(places) + 1
            continue
        fields = line.split(None, n_split) if places else line.split()
        if not fields:
            continue
        if places is None:
            places = _bim_places(len(fields), path, number)
            n_split = max(places) + 1
        if len(fields) <= max(places):
            raise DataError(
                f"{len(fields)} columns, expected at least {max(places) + 1}",
                where=f"{path}, line {number}",
                why="the line or the file is truncated",
                fix="copy it again, or repair this line",
            )
        rows.add(number, *(fields[place] for place in places))
    return rows.table()


def _regular_pvar(text: str, path: Path, evidence: HeaderEvidence) -> VariantTable | None:
    """The variants, if there is a header line, few columns, and nothing out of the way in them."""
    start = 0 if text.startswith("#CHROM") else text.find("\n#CHROM") + 1
    if not text.startswith("#CHROM", start):
        return None
    end = text.find("\n", start)
    header = text[start:end].split()
    if len(header) > _FEW_COLUMNS or end < 0:
        return None
    chrom, pos, identifier, ref, alt = _pvar_places(header, path, text.count("\n", 0, start) + 1)
    columns = regular_columns(text[end + 1 :], len(header))
    table = regular_variants(columns, chrom=chrom, pos=pos, identifier=identifier, ref=ref, alt=alt)
    if table is not None:
        for line in text[:start].splitlines():
            evidence.add(line.encode())
    return table


def _pvar_places(header: list[str], path: Path, number: int) -> tuple[int, ...]:
    absent = [name for name in _PVAR_COLUMNS if name not in header]
    if absent:
        raise DataError(
            f"no column {', '.join(absent)} in the header",
            where=f"{path}, line {number}",
            why="a .pvar has #CHROM POS ID REF ALT",
            fix="write it again with `plink2 --make-just-pvar`",
        )
    return tuple(header.index(name) for name in _PVAR_COLUMNS)


def _bim_places(n_columns: int, path: Path, number: int) -> tuple[int, ...]:
    """Places of chromosome, position, ID, REF and ALT without a header line."""
    if n_columns not in (5, 6):
        raise DataError(
            f"{n_columns} columns and no header line",
            where=f"{path}, line {number}",
            why="without a line #CHROM a .pvar has the five or six columns of a .bim",
            fix="write it again with `plink2 --make-just-pvar`",
        )
    return (0, 3, 1, 5, 4) if n_columns == 6 else (0, 2, 1, 4, 3)
