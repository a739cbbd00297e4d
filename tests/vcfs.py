"""Small VCFs as text, for the tests of the reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from genovi.errors import GenoviError
from genovi.genotypes import pieces
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.reading import open_genotypes

HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t"


def vcf(*genotypes: str, alt: str = "C", format_: str = "GT", n_records: int = 1) -> str:
    """A VCF of samples s1, s2, ... with these columns in every record, at positions 10, 11, ..."""
    names = "\t".join(f"s{i + 1}" for i in range(len(genotypes)))
    row = "\t".join(["1", "{}", ".", "A", alt, ".", ".", ".", format_, *genotypes])
    return HEADER + names + "\n" + "".join(row.format(10 + i) + "\n" for i in range(n_records))


def read(text: str | bytes, folder: Path, name: str = "x.vcf") -> GenotypeMatrix:
    """What open_genotypes makes of ``text`` as a file."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return open_genotypes([path])


def attempt(content: bytes, folder: Path) -> str | tuple[object, ...]:
    """What reading gives: the message, of one line, or everything that was read."""
    try:
        matrix = read(content, folder)
    except GenoviError as error:
        assert "\n" not in str(error)
        return str(error)
    table, facts = matrix.variants, matrix.facts
    assert set(np.unique(matrix.dosages())) <= {-1, 0, 1, 2}
    columns = [getattr(table, name).tolist() for name in ("chrom", "pos", "id", "ref", "alt")]
    counts = (facts.half_calls, facts.haploid_calls, facts.records_without_gt)
    return matrix.packed.tobytes(), matrix.samples, columns, counts


def check_alike(content: bytes, folder: Path) -> str | tuple[object, ...]:
    """``attempt``, which has to give the same when every line is read by itself."""
    fast, size = attempt(content, folder), pieces._SIZE
    try:
        pieces._SIZE = 1  # pieces of a byte hold no whole line: but for blocks of BGZF, the kernel takes none
        slow = attempt(content, folder)
    finally:
        pieces._SIZE = size
    assert fast == slow
    return fast


def record(*genotypes: str, chrom: str = "1", pos: int = 10, alt: str = "C", format_: str = "GT") -> str:
    """One line of a VCF."""
    return "\t".join([chrom, str(pos), ".", "A", alt, ".", ".", ".", format_, *genotypes]) + "\n"


def mutated(data: st.DataObject, content: bytes) -> bytes:
    """``content`` with some bytes overwritten, put in, left out or repeated."""
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, max(0, len(changed) - 1)))
        length = data.draw(st.integers(0, 40))
        kind = data.draw(st.sampled_from(["overwrite", "insert", "delete", "repeat", "cut"]))
        new = data.draw(st.one_of(st.binary(max_size=6), st.sampled_from(TOKENS)))
        if kind == "overwrite":
            changed[place : place + len(new)] = new
        elif kind == "insert":
            changed[place:place] = new
        elif kind == "delete":
            del changed[place : place + length]
        elif kind == "repeat":
            changed[place:place] = changed[place : place + length]
        else:
            del changed[len(changed) - length :]
    return bytes(changed)


TOKENS = [b"\t", b"\n", b"\r", b"\r\n", b":", b"/", b"|", b".", b"./.", b"0|1", b"\t\t", b"GT", b"#", b"##", b"\x00",
          b"\xff", b"99999999999999999999", b"-1", b",", b"\x1f\x8b\x08\x04", b"<", b" "]  # fmt: skip
SOURCES = [
    vcf("0/1", "1|1", "./.", "0/0", "1", n_records=6).encode(),
    vcf("0/1:3:4", "1|1:.:.", "./1:3", "1/2:7:8", alt="C,G", format_="GT:DP:GQ", n_records=5).encode(),
    vcf("3:0/1", "4:.", "5", format_="DP:GT", n_records=5).encode(),
]
