"""BCF 2, plain or in BGZF: the binary form of VCF, read record by record.

Layout (hts-specs, "The BCF2 format"): a magic number, the VCF header as text, then records: two lengths, a shared part
(CHROM, POS, rlen, QUAL, counts, ID, alleles, FILTER, INFO) and the FORMAT fields as vectors over samples. In GT an
allele is stored as (index + 1) << 1 | phased, so 0 is a missing allele. Alleles and ploidy are treated as in ``vcf``.
"""

from __future__ import annotations

import re
import struct
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from genovi.errors import DataError
from genovi.genotypes.batches import Batch, Batches, Source, rows_in_batch
from genovi.genotypes.bgzf import open_bytes, raw_offset, truncated
from genovi.genotypes.building import RowBuilder, decode_text
from genovi.genotypes.choosing import Choice
from genovi.genotypes.indexes import IndexedPart, check_count, look_up
from genovi.genotypes.matrix import InputFacts
from genovi.genotypes.vcf import no_genotypes
from genovi.genotypes.vcfheader import HeaderEvidence, parse_samples

MAGIC = b"BCF\x02"

_STRIDE = 64  # records between looks at how much waits
_MAX_HEADER = 1 << 30
_MAX_RECORD = 1 << 31
_WIDTHS = {1: 1, 2: 2, 3: 4, 5: 4, 7: 1}  # bytes an element: int8, int16, int32, float, char
_INTEGERS: dict[int, np.dtype[Any]] = {1: np.dtype("<i1"), 2: np.dtype("<i2"), 3: np.dtype("<i4")}
_STRUCTURED = re.compile(rb"##(contig|INFO|FORMAT|FILTER)=<")
_ID = re.compile(rb"[<,]ID=([^,>]+)")
_IDX = re.compile(rb"[<,]IDX=(\d+)")


class _MalformedError(Exception):
    """A record that contradicts the format; turned into a DataError with its number."""


def bcf_source(path: Path, compression: str, split: bool = False) -> Source:
    """Open a BCF 2 file as far as its header.

    Args:
        path: The file.
        compression: "plain", "gzip" or "BGZF".
        split: As for ``vcf.vcf_source``.

    Returns:
        One row a record, in file order, as ``vcf.vcf_source`` gives for the same data.

    Raises:
        DataError: the file is truncated or a record is malformed; names file and record.
    """
    with open_bytes(path, compression) as stream:
        header = _Header(_read_header(stream, path), path)
    form = f"BCF ({compression})"
    names = {number: decode_text(name) for number, name in header.contigs.items()}
    indexed = cache(partial(look_up, path, contigs=names))

    def batches(choice: Choice | None) -> Batches:
        found = indexed(choice) if choice is not None and compression == "BGZF" else None
        records = _Records(path, header, split, choice)
        most = rows_in_batch((len(header.samples) + 3) // 4)
        n_bytes = path.stat().st_size if found is None else found.n_bytes
        done = 0
        for stretch in (None,) if found is None else found.stretches:
            with open_bytes(path, compression, stretch) as stream:
                if stretch is None:
                    _read_header(stream, path)
                while all(_next_record(stream, path, records) for _ in range(_STRIDE)):
                    if records.n_waiting >= most:
                        at = raw_offset(stream) - (stretch[0] >> 16 if stretch else 0)
                        yield records.drain(min(1.0, (done + at) / n_bytes))
            done += 0 if stretch is None else (stretch[1] >> 16) - (stretch[0] >> 16)
        yield records.drain(1.0)
        return records.facts(form, found)

    return Source(str(path), form, header.samples, path.stat().st_size, batches)


def _next_record(stream: BinaryIO, path: Path, records: _Records) -> bool:
    """Take in the next record; False where there is none."""
    lengths = stream.read(8)
    if not lengths:
        return False
    if len(lengths) < 8:
        raise truncated(path, f"it ends inside record {len(records) + 1}")
    n_shared, n_individual = struct.unpack("<II", lengths)
    if n_shared + n_individual > _MAX_RECORD:
        raise records.bad("a record longer than 2 GiB")
    body = stream.read(n_shared + n_individual)
    if len(body) < n_shared + n_individual:
        raise truncated(path, f"it ends inside record {len(records) + 1}")
    records.add(body[:n_shared], body[n_shared:])
    return True


def _read_header(stream: BinaryIO, path: Path) -> bytes:
    start = stream.read(9)
    if len(start) < 9:
        raise truncated(path, "it ends inside the header")
    (length,) = struct.unpack("<I", start[5:])
    if length > _MAX_HEADER:
        raise DataError("a BCF header longer than 1 GiB", where=path, why="the file is damaged", fix="copy it again")
    text = stream.read(length)
    if len(text) < length:
        raise truncated(path, "it ends inside the header")
    return text.rstrip(b"\x00")


class _Header:
    """Samples, contig names and the dictionary of FILTER, INFO and FORMAT keys."""

    def __init__(self, text: bytes, path: Path) -> None:
        self.evidence = HeaderEvidence()
        self.samples: tuple[str, ...] = ()
        self.contigs: dict[int, bytes] = {}
        self.keys: dict[int, bytes] = {0: b"PASS"}
        seen = {b"PASS"}
        for number, raw in enumerate(text.split(b"\n"), start=1):
            line = raw.rstrip(b"\r")
            self.evidence.add(line)
            kind, name, index = _STRUCTURED.match(line), _ID.search(line), _IDX.search(line)
            if kind and name:
                if kind[1] == b"contig":
                    self.contigs[int(index[1]) if index else len(self.contigs)] = name[1]
                elif name[1] not in seen:
                    seen.add(name[1])
                    self.keys[int(index[1]) if index else len(self.keys)] = name[1]
            elif line.startswith(b"#CHROM"):
                self.samples = parse_samples(line, path, number)
        if not self.samples:
            raise DataError(
                "no #CHROM line in the header", where=path, fix="make the BCF again with `bcftools view -Ob`"
            )


class _Records:
    """Parses records into rows."""

    def __init__(self, path: Path, header: _Header, split: bool, choice: Choice | None) -> None:
        from genovi.genotypes import kernels

        self._kernels = kernels
        self._path = path
        self._header = header
        self._builder = RowBuilder(len(header.samples))
        self._tally = np.zeros(2, dtype=np.int64)
        self._format_keys: set[bytes] = set()
        self._without_gt = 0
        self._split = split
        self._choice = choice
        self._split_records = 0
        self._n_chosen = 0
        self._n_elsewhere = 0

    def __len__(self) -> int:
        return self._n_chosen + self._n_elsewhere

    @property
    def n_waiting(self) -> int:
        return len(self._builder)

    def drain(self, share: float) -> Batch:
        """The rows since the last time."""
        return Batch(*self._builder.drain(), share)

    def add(self, shared: bytes, individual: bytes) -> None:
        """Take in one record."""
        try:
            if self._choice is not None and self._is_elsewhere(shared):
                self._n_elsewhere += 1
            else:
                self._parse(shared, individual)
        except (_MalformedError, struct.error, IndexError, ValueError) as error:
            why = str(error) if isinstance(error, _MalformedError) else "its lengths contradict each other"
            raise self.bad("a malformed record", why) from error

    def bad(self, what: str, why: str | None = None, fix: str | None = None) -> DataError:
        """The error for the record at hand."""
        return DataError(
            what,
            where=f"{self._path}, record {len(self) + 1}",
            why=why,
            fix=fix or "copy the file again, or make it again with `bcftools view -Ob`",
        )

    def facts(self, format_name: str, found: IndexedPart | None) -> InputFacts:
        """What the records, or those that were chosen, said beside their genotypes.

        Raises:
            DataError: no record has genotypes.
        """
        if self._without_gt and self._without_gt == self._n_chosen:
            raise no_genotypes(self._path, self._format_keys)
        n_elsewhere = self._n_elsewhere
        if found is not None:
            check_count(self._path, found, self._choice, self._n_chosen)
            n_elsewhere = found.n_records - self._n_chosen
        evidence = self._header.evidence
        return InputFacts(
            formats=(format_name,),
            references=tuple(evidence.references),
            contig_lengths=evidence.contig_lengths,
            half_calls=int(self._tally[0]),
            haploid_calls=int(self._tally[1]),
            records_without_gt=self._without_gt,
            split_records=self._split_records,
            n_elsewhere=n_elsewhere,
        )

    def _is_elsewhere(self, shared: bytes) -> bool:
        """Whether the record has a place, and that is not chosen."""
        contig, pos = struct.unpack_from("<ii", shared)
        name = self._header.contigs.get(contig)
        if name is None or pos < -1 or self._choice is None:
            return False
        return not self._choice.has(decode_text(name), pos + 1)

    def _parse(self, shared: bytes, individual: bytes) -> None:
        contig, pos, _, _, info_alleles, format_samples = struct.unpack_from("<iiifII", shared)
        n_alleles, n_format, n_samples = info_alleles >> 16, format_samples >> 24, format_samples & 0xFFFFFF
        if contig not in self._header.contigs:
            raise _MalformedError(f"contig number {contig} is not in the header")
        if pos < -1:
            raise _MalformedError(f"position {pos + 1} is negative")
        if n_samples != len(self._header.samples):
            raise _MalformedError(f"it has {n_samples} samples, the header {len(self._header.samples)}")
        identifier, at = _string(shared, 24)
        alleles = []
        for _ in range(n_alleles):
            allele, at = _string(shared, at)
            alleles.append(allele)
        if not alleles or not all(alleles):
            raise _MalformedError("it has an empty allele or none")
        genotypes = self._genotypes(individual, n_format, n_samples)
        if genotypes is None:
            self._without_gt += 1
            genotypes = np.full((n_samples, 1), -1, dtype=np.int32)
        alts = alleles[1:] if self._split and n_alleles > 2 else [b",".join(alleles[1:]) or b"."]
        for counted, alt in enumerate(alts, start=1):
            self._pack(genotypes, n_alleles, counted)
            self._builder.commit(self._header.contigs[contig], pos + 1, identifier, alleles[0], alt)
        self._split_records += len(alts) > 1
        self._n_chosen += 1

    def _pack(self, genotypes: np.ndarray, n_alleles: int, counted: int) -> None:
        """Pack the genotypes of one record into the builder's next row."""
        row = self._builder.row()
        tally = self._tally if counted == 1 else np.zeros_like(self._tally)
        status, sample = self._kernels.bcf_row(genotypes, n_alleles, counted, row, tally)
        if status != self._kernels.OK:
            name = self._header.samples[sample]
            if status == self._kernels.POLYPLOID:
                raise self.bad(
                    f"a genotype of sample {name!r} has more than two alleles",
                    "genovi models diploid genotypes",
                    "give diploid calls, or leave these contigs out",
                )
            raise _MalformedError(f"the genotype of sample {name!r} names an allele that the record does not have")

    def _genotypes(self, individual: bytes, n_format: int, n_samples: int) -> np.ndarray | None:
        """Allele indices of GT as ``kernels.bcf_row`` takes them; None where there is no GT."""
        at = 0
        for _ in range(n_format):
            key, at = _integer(individual, at)
            kind, length, at = _descriptor(individual, at)
            size = n_samples * length * _width(kind)
            if at + size > len(individual):
                raise _MalformedError("a FORMAT field is longer than the record")
            name = self._header.keys.get(key, b"")
            self._format_keys.add(name)
            if name == b"GT":
                if length == 0:
                    return np.full((n_samples, 1), -1, dtype=np.int32)
                if kind not in _INTEGERS:
                    raise _MalformedError("GT is not stored as integers")
                raw = np.frombuffer(individual, dtype=_INTEGERS[kind], count=n_samples * length, offset=at)
                indices = _INT8_INDICES[raw.view(np.uint8)] if kind == 1 else _allele_indices(raw)
                return indices.reshape(n_samples, length)
            at += size
        return None


def _allele_indices(raw: np.ndarray) -> np.ndarray:
    lowest = int(np.iinfo(raw.dtype).min)  # a missing value; the next one ends a vector
    values = raw.astype(np.int32)
    indices = (values >> 1) - 1
    indices[values == lowest] = -1
    indices[values == lowest + 1] = -2
    # Negative values are no alleles: an index out of range, which the kernel refuses.
    indices[(values < 0) & (values > lowest + 1)] = np.iinfo(np.int32).max
    return indices


_INT8_INDICES = _allele_indices(np.arange(256, dtype=np.uint8).view(np.int8))


def _width(kind: int) -> int:
    if kind == 0:
        return 0
    if kind not in _WIDTHS:
        raise _MalformedError(f"value type {kind} does not exist")
    return _WIDTHS[kind]


def _descriptor(data: bytes, at: int) -> tuple[int, int, int]:
    """Type and length of the value at ``at``, and where its elements start."""
    kind, length = data[at] & 15, data[at] >> 4
    if length == 15:
        length, at = _integer(data, at + 1)
        if length < 0:
            raise _MalformedError("a negative length")
        return kind, length, at
    return kind, length, at + 1


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """The typed integer at ``at``, and where the next value starts."""
    kind = data[at] & 15
    if kind not in _INTEGERS or data[at] >> 4 != 1:
        raise _MalformedError("an integer was expected")
    end = at + 1 + _WIDTHS[kind]
    if end > len(data):
        raise _MalformedError("it ends inside a value")
    return int.from_bytes(data[at + 1 : end], "little", signed=True), end


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    """The typed string at ``at``, and where the next value starts."""
    kind, length, at = _descriptor(data, at)
    if kind not in (0, 7):
        raise _MalformedError("a string was expected")
    end = at + length * _width(kind)
    if end > len(data):
        raise _MalformedError("it ends inside a value")
    return data[at:end].rstrip(b"\x00"), end
