"""VCF text, plain or compressed: pieces of the file become packed rows in threads.

A compiled loop (``linekernels``) reads what is usual; a line that it does not take, and the one across two pieces, is
read by itself, which gives the same genotypes, or the message where the line is at fault.

Dosage counts the first ALT allele. A multi-allelic record stays one row with ALT as written ("A,C"); genotypes with a
later ALT allele are missing in it, as is any but REF where ALT is ".". Half calls (``./1``) are missing. A haploid call
(``1``) counts as two copies, so that X, Y and MT of men have the scale of everyone else. More than two alleles in a
genotype are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from genovi.errors import DataError
from genovi.genotypes.batches import Batch, Batches, Source, rows_in_batch
from genovi.genotypes.bgzf import BOM, blaming_damage, open_bytes
from genovi.genotypes.building import RowBuilder, decode_text
from genovi.genotypes.choosing import Choice
from genovi.genotypes.indexes import IndexedPart, check_count, look_up
from genovi.genotypes.lines import LineFormat, Lines, read_lines
from genovi.genotypes.matrix import InputFacts
from genovi.genotypes.pieces import open_pieces
from genovi.genotypes.vcfheader import HeaderEvidence, parse_samples

_MAX_POSITION = 2**40  # longer than any chromosome; keeps nonsense out of int64
_MAX_DIGITS = 20
# What a file may have instead of GT, and how to make GT of it.
_CALL_FIRST = {
    b"DS": "call genotypes first, for example with `plink2 --vcf FILE dosage=DS --export vcf bgz`",
    b"HDS": "call genotypes first, for example with `plink2 --vcf FILE dosage=HDS --export vcf bgz`",
    b"GP": "call genotypes first, for example with `plink2 --vcf FILE dosage=GP-force --export vcf bgz`",
    b"PL": "call genotypes first: `bcftools call -m` if `bcftools mpileup` wrote them, else with the program that did",
    b"GL": "call genotypes first with the program that wrote them (ANGSD: -doGeno), or with Beagle 4.1 (gl=FILE)",
}


def vcf_source(path: Path, compression: str, split: bool = False) -> Source:
    """Open a VCF as far as its header.

    Args:
        path: The file.
        compression: "plain", "gzip" or "BGZF".
        split: Make a record with several ALT alleles one row for each of them, in which the others are missing.

    Returns:
        One row a record, in file order; the facts count half calls, haploid calls and records without GT. Where an
        index lies beside a BGZF file and there is a choice, only blocks that may hold chosen records are read.

    Raises:
        DataError: the file is truncated or not a VCF. While it is read also: a line of it is malformed; names file
            and line.
    """
    with blaming_damage(path, compression), open_bytes(path, compression) as stream:
        header = _read_header(stream, path)
    form = f"VCF ({compression})"
    indexed = cache(partial(look_up, path))

    def batches(choice: Choice | None) -> Batches:
        found = indexed(choice) if choice is not None and compression == "BGZF" else None
        stretches = None if found is None else found.stretches
        whole = path.stat().st_size if found is None else found.n_bytes
        with blaming_damage(path, compression):
            records = _Records(path, header, split, choice, jumping=found is not None)
            with open_pieces(path, compression, header.n_bytes, stretches) as pieces:
                for lines in read_lines(pieces, LineFormat(len(header.samples), split, choice)):
                    records.take(lines)
                    if records.n_waiting >= rows_in_batch((len(header.samples) + 3) // 4):
                        yield records.drain(min(1.0, lines.end / whole))
            records.end()
            yield records.drain(1.0)
            return records.facts(form, found)

    return Source(str(path), form, header.samples, path.stat().st_size, batches)


def no_genotypes(path: Path, format_keys: set[bytes]) -> DataError:
    """The error for a file whose records never have GT."""
    others = ", ".join(key.decode() for key in _CALL_FIRST if key in format_keys)
    return DataError(
        "no genotypes (GT) in any record",
        where=path,
        why=f"FORMAT has {others} instead, which genovi does not read" if others else "FORMAT never names GT",
        fix=next((fix for key, fix in _CALL_FIRST.items() if key in format_keys), "give a VCF with called genotypes"),
    )


@dataclass(frozen=True)
class _Header:
    """Samples, evidence of the build, and the size of the header in lines and bytes."""

    samples: tuple[str, ...]
    evidence: HeaderEvidence
    n_lines: int
    n_bytes: int


def _read_header(stream: BinaryIO, path: Path) -> _Header:
    evidence = HeaderEvidence()
    line_number, n_bytes = 0, 0
    for line_number, line in enumerate(stream, start=1):
        n_bytes += len(line)
        text = line.removeprefix(BOM) if line_number == 1 else line
        if text.startswith(b"##"):
            evidence.add(text)
        elif text.startswith(b"#"):
            return _Header(parse_samples(text.rstrip(b"\r\n"), path, line_number), evidence, line_number, n_bytes)
        elif text.strip():
            break
    raise DataError(
        "no #CHROM line before the records" if line_number else "no header",
        where=f"{path}, line {line_number}",
        why="it names the samples",
        fix="restore the header, for example with `bcftools reheader`",
    )


class _Records:
    """Parses record lines into rows."""

    def __init__(self, path: Path, header: _Header, split: bool, choice: Choice | None, jumping: bool) -> None:
        from genovi.genotypes import kernels

        self._kernels = kernels
        self._path = path
        self._samples = header.samples
        self._evidence = header.evidence
        self._split = split
        self._choice = choice
        self._jumping = jumping  # by an index, so that nobody knows the numbers of lines
        self._n_lines = header.n_lines
        self._split_records = 0
        self._n_chosen = 0
        self._n_elsewhere = 0
        self._n_fast = 0  # lines that the kernel has read, all of which have GT
        self._unfinished: list[bytes] = []
        self._builder = RowBuilder(len(self._samples))
        self._gt_places: dict[bytes, int] = {}
        self._tally = np.zeros(2, dtype=np.int64)
        self._without_gt = 0
        self._missing_row = np.frombuffer(b"\x55" * ((len(self._samples) + 3) // 4), dtype=np.uint8).copy()
        if len(self._samples) % 4:
            self._missing_row[-1] &= (1 << 2 * (len(self._samples) % 4)) - 1

    @property
    def n_waiting(self) -> int:
        return len(self._builder)

    def drain(self, share: float) -> Batch:
        """The rows since the last time."""
        return Batch(*self._builder.drain(), share)

    def take(self, lines: Lines) -> None:
        """Take in a piece."""
        self._unfinished.append(lines.head)
        if lines.tail is None:
            return
        self._add(b"".join(self._unfinished), self._n_lines + 1)
        before = self._n_lines = self._n_lines + 1
        self._unfinished = [lines.tail] if lines.tail else []
        self._tally += lines.tally
        self._n_elsewhere += lines.n_between - len(lines.numbers)
        start = 0
        for careful, line in lines.careful.items():
            self._add_all(lines, slice(start, careful))
            self._add(line, before + int(lines.numbers[careful]) + 1)
            start = careful + 1
        self._add_all(lines, slice(start, len(lines.rows)))
        self._n_lines += lines.n_between

    def _add_all(self, lines: Lines, which: slice) -> None:
        """Take in lines that the kernel has read."""
        n = which.stop - which.start
        self._n_chosen += n
        self._n_fast += n
        self._builder.extend(lines.rows[which], lines.variants.take(which))

    def _add(self, raw: bytes, line_number: int) -> None:
        """Take in one line by itself."""
        line = raw.rstrip(b"\r\n")
        if not line:
            return
        if self._choice is not None and self._is_elsewhere(line):
            self._n_elsewhere += 1
            return
        fields = line.split(b"\t", 9)
        if len(fields) < 10 or line.startswith(b"#"):
            raise self._bad_columns(line, line_number)
        chrom, pos, identifier, ref, alt, _, _, _, format_, columns = fields
        if not (chrom and ref and alt):
            raise self._bad("CHROM, REF or ALT is empty", line_number)
        if not pos.isdigit() or len(pos) > _MAX_DIGITS or int(pos) > _MAX_POSITION:
            raise self._bad(f"POS {_shown(pos)} is not a whole number of base pairs", line_number)
        alts = alt.split(b",") if self._split else [alt]
        n_alleles = 1 if alt == b"." else 2 + alt.count(b",")
        for counted, one in enumerate(alts, start=1):
            self._pack(format_, columns, n_alleles, counted, line_number)
            self._builder.commit(chrom, int(pos), identifier, ref, one or b".")
        self._n_chosen += 1
        self._without_gt += self._gt_place(format_) < 0
        self._split_records += len(alts) > 1

    def _is_elsewhere(self, line: bytes) -> bool:
        """Whether the line has a place, and that is not chosen."""
        chrom, pos, *_ = *line.split(b"\t", 2), b""
        if not chrom or line.startswith(b"#") or not pos.isdigit() or len(pos) > _MAX_DIGITS:
            return False
        return self._choice is not None and not self._choice.has(decode_text(chrom), int(pos))

    def _pack(self, format_: bytes, columns: bytes, n_alleles: int, counted: int, line_number: int) -> None:
        """Pack the genotypes of one line into the builder's next row."""
        row = self._builder.row()
        gt_place = self._gt_place(format_)
        if gt_place < 0:
            row[:] = self._missing_row
            return
        row[:] = 0
        tally = self._tally if counted == 1 else np.zeros_like(self._tally)
        text, n_samples = np.frombuffer(columns, dtype=np.uint8), len(self._samples)
        status, sample = self._kernels.vcf_row(text, n_samples, gt_place, n_alleles, counted, row, tally)
        if status != self._kernels.OK:
            raise self._bad_genotype(status, sample, columns, line_number)

    def end(self) -> None:
        """Take in what follows the last line end, and see whether there were genotypes at all."""
        if self._unfinished:
            self._add(b"".join(self._unfinished), self._n_lines + 1)
        if self._without_gt and all(place < 0 for place in self._gt_places.values()) and not self._n_fast:
            raise no_genotypes(self._path, {key for keys in self._gt_places for key in keys.split(b":")})

    def facts(self, format_name: str, found: IndexedPart | None) -> InputFacts:
        """What the records, or those that were chosen, said beside their genotypes."""
        n_elsewhere = self._n_elsewhere
        if found is not None:
            check_count(self._path, found, self._choice, self._n_chosen)
            n_elsewhere = found.n_records - self._n_chosen
        return InputFacts(
            formats=(format_name,),
            references=tuple(self._evidence.references),
            contig_lengths=self._evidence.contig_lengths,
            half_calls=int(self._tally[0]),
            haploid_calls=int(self._tally[1]),
            records_without_gt=self._without_gt,
            split_records=self._split_records,
            n_elsewhere=n_elsewhere,
            unfinished=(str(self._path),) if self._unfinished else (),
        )

    def _gt_place(self, format_: bytes) -> int:
        place = self._gt_places.get(format_)
        if place is None:
            keys = format_.split(b":")
            place = self._gt_places[format_] = keys.index(b"GT") if b"GT" in keys else -1
        return place

    def _bad(self, what: str, line_number: int, why: str | None = None, fix: str | None = None) -> DataError:
        place = f"line {line_number}" if not self._jumping else "one of the lines that the index leads to"
        return DataError(what, where=f"{self._path}, {place}", why=why, fix=fix or "repair or remove this line")

    def _bad_columns(self, line: bytes, line_number: int) -> DataError:
        if line.startswith(b"#"):
            return self._bad(
                "a header line among the records",
                line_number,
                "files were joined with their headers",
                "join VCFs with `bcftools concat`, or give them as several inputs",
            )
        expected = 9 + len(self._samples)
        why = (
            "the columns are separated by spaces, not tabs"
            if b"\t" not in line and b" " in line.strip()
            else ("the line or the file is truncated")
        )
        found = line.count(b"\t") + 1
        return self._bad(f"{found} columns, expected {expected}", line_number, why)

    def _bad_genotype(self, status: int, sample: int, columns: bytes, line_number: int) -> DataError:
        kernels = self._kernels
        parts = columns.split(b"\t")
        if status in (kernels.TOO_FEW, kernels.TOO_MANY):
            return self._bad(
                f"{9 + len(parts)} columns, expected {9 + len(self._samples)}",
                line_number,
                "the line or the file is truncated" if status == kernels.TOO_FEW else "the header names fewer samples",
            )
        what = f"genotype {_shown(parts[sample])} of sample {self._samples[sample]!r}"
        if status == kernels.POLYPLOID:
            return self._bad(
                f"{what} has more than two alleles",
                line_number,
                "genovi models diploid genotypes",
                "give diploid calls, or leave these contigs out",
            )
        if status == kernels.OUT_OF_RANGE:
            return self._bad(f"{what} names an allele that the record does not have", line_number)
        return self._bad(f"{what} is not a genotype", line_number)


def _shown(raw: bytes) -> str:
    text = decode_text(raw[:40])
    return repr(text + "..." if len(raw) > 40 else text)
