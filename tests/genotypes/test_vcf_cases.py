"""Each way in which real VCFs differ from the textbook: read right, or refused in one line that names file and line."""

from __future__ import annotations

import gzip
import logging
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers import bgzf, matrix_of, needs, real_data, vcf_text
from vcfs import HEADER, read, record, vcf

from genovi.errors import DataError
from genovi.genotypes import pieces
from genovi.genotypes.filtering import apply_qc
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes


def test_haploid_calls_on_sex_and_mitochondrial_chromosomes(tmp_path: Path) -> None:
    text = HEADER + "man\twoman\n"
    text += record("1", "0/1", chrom="X") + record("0", ".", chrom="Y", pos=5) + record("1", "0", chrom="MT", pos=7)
    matrix = read(text, tmp_path)
    assert matrix.dosages().tolist() == [[2, 1], [0, -1], [2, 0]]
    assert matrix.facts.haploid_calls == 4


def test_mixed_phase_and_the_leading_phase_mark(tmp_path: Path) -> None:
    text = HEADER + "a\tb\tc\td\te\n" + record("0/1", "1|0", "|1|1", "/0|1", "|1")
    assert read(text, tmp_path).dosages().tolist() == [[1, 1, 2, 1, 2]]


def test_gt_not_first_and_trailing_fields_dropped(tmp_path: Path) -> None:
    text = (
        HEADER
        + "a\tb\tc\n"
        + record("9:1/1:3", "9", "9:0/1", format_="DP:GT:GQ")
        + record("1/1:9", "0/1", "./.:.:.", format_="GT:DP:GQ")
    )
    assert read(text, tmp_path).dosages().tolist() == [[2, -1, 1], [2, 1, -1]]


def test_a_key_that_only_begins_with_gt_is_not_gt(tmp_path: Path) -> None:
    text = (
        HEADER
        + "a\n"
        + record("7:0/1", format_="GTX:GT")
        + record("0/1:7", format_="GT:GTX")
        + record("7", format_="AGT")
    )
    matrix = read(text, tmp_path)
    assert matrix.dosages().tolist() == [[1], [1], [-1]]
    assert matrix.facts.records_without_gt == 1


def test_alt_alleles_of_all_kinds_are_counted_and_not_snps(tmp_path: Path) -> None:
    alts = ["C", "<DEL>", "*", ".", "C,G", "C,*", "A]2:7]", "CTT", "<NON_REF>", "C,<*>", "G"]
    text = (
        HEADER
        + "a\tb\n"
        + "".join(record("0/0", "0/0" if alt == "." else "0/1", alt=alt, pos=10 + i) for i, alt in enumerate(alts))
    )
    matrix = read(text, tmp_path)
    assert list(matrix.variants.alt) == alts
    assert matrix.dosages()[:, 1].tolist() == [0 if alt == "." else 1 for alt in alts]
    kept, report = apply_qc(matrix, QCConfig(maf=0.0, geno=1.0, mind=1.0, indep_pairwise=None))
    assert list(kept.variants.alt) == ["C", "G"]
    (step,) = [step for step in report.steps if step.name == "biallelic SNPs"]
    assert step.removed == 9
    assert "3 multi-allelic" in step.reason and "1 no ALT" in step.reason


@pytest.mark.parametrize("compress", [bytes, bgzf])
def test_records_with_several_alleles_are_split_by_choice(tmp_path: Path, compress) -> None:
    text = (
        HEADER + "a\tb\tc\td\n" + record("0/1", "1/2", "2/2", "./2", alt="C,G") + record("0/1", "0", ".", "1", pos=11)
    )
    text += record("0/1", "3|3", "0/0", "2/0", alt="<DEL>,CT,T", pos=12)
    text += record("3", "4", "5", "6", format_="DP", alt="C,G")
    (tmp_path / "x.vcf").write_bytes(compress(text.encode()))
    whole = open_genotypes([tmp_path / "x.vcf"])
    split = open_genotypes([tmp_path / "x.vcf"], split_multiallelic=True)
    assert list(whole.variants.alt) == ["C,G", "C", "<DEL>,CT,T", "C,G"]
    assert list(split.variants.alt) == ["C", "G", "C", "<DEL>", "CT", "T", "C", "G"]
    assert split.variants.pos.tolist() == [10, 10, 11, 12, 12, 12, 10, 10]
    assert split.dosages().tolist() == [
        [1, -1, -1, -1],
        [-1, -1, 2, -1],
        [1, 0, -1, 2],
        [1, -1, 0, -1],
        [-1, -1, 0, 1],
        [-1, 2, 0, -1],
        *2 * [[-1] * 4],
    ]
    assert split.facts.split_records == 3
    assert (split.facts.half_calls, split.facts.haploid_calls, split.facts.records_without_gt) == (1, 2, 1)
    config = QCConfig(maf=0.0, geno=1.0, mind=1.0, indep_pairwise=None)
    assert apply_qc(split, config)[1].to_dict()["calls"]["split_records"] == 3
    assert list(apply_qc(split, config)[0].variants.alt) == ["C", "C", "T"]
    assert list(apply_qc(whole, config)[0].variants.alt) == ["C"]


@pytest.mark.real
def test_bcftools_splits_alike(tmp_path: Path) -> None:
    source = real_data("hipster/hipster.vcf.bgz")
    command = [needs("bcftools"), "view", "-t", "5:126650000-126720000", "-m3", str(source)]
    norm = [needs("bcftools"), "norm", "-m-"]
    for words, name in (
        ([*command, "-o", str(tmp_path / "x.vcf")], "x.vcf"),
        ([*command, "-Ob", "-o", str(tmp_path / "x.bcf")], "x.bcf"),
        ([*norm, str(tmp_path / "x.vcf"), "-o", str(tmp_path / "y.vcf")], "y.vcf"),
    ):
        subprocess.run(words, check=True, capture_output=True)
        assert (tmp_path / name).exists()
    theirs = open_genotypes([tmp_path / "y.vcf"])
    assert theirs.n_variants > 5
    # In the row of one ALT bcftools calls the others REF; genovi leaves such genotypes missing.
    expected = theirs.dosages()
    for pos in np.unique(theirs.variants.pos):
        rows = expected[theirs.variants.pos == pos]
        others = rows.sum(axis=0) - rows
        expected[theirs.variants.pos == pos] = np.where((rows >= 0) & (others > 0), -1, rows)
    for name in ("x.vcf", "x.bcf"):
        ours = open_genotypes([tmp_path / name], split_multiallelic=True)
        np.testing.assert_array_equal(ours.dosages(), expected)
        assert list(ours.variants.alt) == list(theirs.variants.alt)
        assert ours.facts.split_records == open_genotypes([tmp_path / name]).n_variants


def test_duplicate_and_unsorted_positions_stay_in_file_order(tmp_path: Path) -> None:
    places = [("2", 30), ("1", 20), ("1", 20), ("1", 10), ("2", 30)]
    text = HEADER + "a\tb\n" + "".join(record("0/1", "0/0", chrom=chrom, pos=pos) for chrom, pos in places)
    matrix = read(text, tmp_path)
    assert list(zip(matrix.variants.chrom, matrix.variants.pos.tolist(), strict=True)) == places
    kept, _ = apply_qc(matrix, QCConfig(maf=0.0, indep_pairwise=None))
    assert list(zip(kept.variants.chrom, kept.variants.pos.tolist(), strict=True)) == places[:2] + places[3:4]


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bgzf])
def test_a_header_longer_than_any_buffer(tmp_path: Path, compress) -> None:
    contigs = "".join(f"##contig=<ID=scaffold_{i},length={i + 1}>\n" for i in range(60_000))
    text = (
        contigs
        + HEADER.split("\n", 1)[1]
        + "a\tb\n"
        + "".join(record("0/1", "1/1", chrom=f"scaffold_{i}") for i in range(99))
    )
    matrix = read(compress(("##fileformat=VCFv4.3\n" + text).encode()), tmp_path)
    assert matrix.facts.contig_lengths["scaffold_59999"] == 60_000
    assert matrix.dosages().tolist() == [[1, 2]] * 99
    assert matrix.variants.chrom[98] == "scaffold_98"


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    for compress in (bytes, gzip.compress, bgzf):
        matrix = read(compress(b"\xef\xbb\xbf" + vcf("0/1", "1/1").encode()), tmp_path)
        assert matrix.dosages().tolist() == [[1, 2]]


@pytest.mark.parametrize("odd", ["<del>", "äT", "gt"])
def test_one_odd_text_does_not_change_its_neighbours(tmp_path: Path, odd: str) -> None:
    """Identifiers and alleles of a piece are read together: each must come out as if it were alone."""
    names = ["rs1", "Zoë", ".", "名", "", "x" * 300]
    alleles = ["at", "g", odd, "ac"]
    lines = [record("0/1", pos=i + 1).split("\t") for i in range(60)]
    for i, fields in enumerate(lines):
        fields[2], fields[4] = names[i % 6] or ".", alleles[i // 6 % 4]
    raw = ["\t".join(fields).encode() for fields in lines]
    raw[30] = raw[30].replace(b"rs1", "Zoë".encode("latin-1"))
    table = read((HEADER + "s1\n").encode() + b"".join(raw), tmp_path).variants
    assert table.id.tolist() == ["Zoë" if i == 30 else names[i % 6] or "." for i in range(60)]
    expected = [name if "<" in name else name.upper() for name in alleles]
    assert table.alt.tolist() == [expected[i // 6 % 4] for i in range(60)]


def test_utf_16_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="UTF-16"):
        read(vcf("0/1").encode("utf-16"), tmp_path)


def test_windows_line_ends_in_header_and_records(tmp_path: Path) -> None:
    text = vcf("0/1", "1/1", n_records=300).replace("\n", "\r\n")
    matrix = read(text, tmp_path)
    assert matrix.samples == ("s1", "s2")
    assert np.unique(matrix.dosages(), axis=0).tolist() == [[1, 2]]


def test_blanks_at_the_end_of_the_header_line(tmp_path: Path) -> None:
    assert read(vcf("0/1", "1/1").replace("s2\n", "s2  \n"), tmp_path).samples == ("s1", "s2")
    with pytest.raises(DataError, match=r"empty name.*x\.vcf, line 2"):
        read(vcf("0/1", "1/1").replace("s2\n", "s2\t\n"), tmp_path)


def test_blank_lines_are_passed_over_and_counted(tmp_path: Path) -> None:
    text = vcf("0/1") + "\n\r\n" + record("1/1") + "\n"
    assert read(text, tmp_path).dosages().tolist() == [[1], [2]]
    with pytest.raises(DataError, match="line 6"):
        read(vcf("0/1") + "\n\n" + record("1/x"), tmp_path)


def test_sample_names_with_spaces_and_other_scripts(tmp_path: Path) -> None:
    names = "Nile 7\tZoë\t李雷"
    assert read(HEADER + names + "\n" + record("0/1", "0/0", "1/1"), tmp_path).samples == ("Nile 7", "Zoë", "李雷")
    latin = (HEADER + "Zoë\n" + record("0/1")).encode("latin-1")
    assert read(latin, tmp_path).samples == ("Zoë",)


@pytest.mark.parametrize(
    "chrom", ["chr1", "chrX", "Chr01A", "scaffold_12", "NC_000001.11", "HLA-A*01:01:01:01", "2L", "1"]
)
def test_contigs_of_any_name_without_contig_lines(tmp_path: Path, chrom: str) -> None:
    matrix = read(HEADER + "a\tb\n" + record("0/1", "0/0", chrom=chrom), tmp_path)
    assert list(matrix.variants.chrom) == [chrom]
    assert apply_qc(matrix, QCConfig(maf=0.0, autosomes_only=False))[0].n_variants == 1


def test_polyploid_calls_are_refused_wherever_they_stand(tmp_path: Path) -> None:
    rows = [record("0/1", "1/1", pos=i + 1) for i in range(700)]
    for place, line in ((0, 3), (350, 353), (699, 702)):
        wrong = [*rows[:place], record("0/1", "0/0/1/1"), *rows[place + 1 :]]
        with pytest.raises(
            DataError, match=rf"'0/0/1/1' of sample 'b' has more than two alleles .*x\.vcf, line {line}\)"
        ):
            read(HEADER + "a\tb\n" + "".join(wrong), tmp_path)


def test_lines_longer_than_a_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = matrix_of(np.random.default_rng(7).integers(-1, 3, size=(40, 61)).astype(np.int8))
    text = vcf_text(whole).encode()
    for size in (1, 7, 64, 300, 5000):
        monkeypatch.setattr(pieces, "_SIZE", size)
        for compress in (bytes, gzip.compress, bgzf) if size > 7 else (bytes,):
            matrix = read(compress(text), tmp_path)
            np.testing.assert_array_equal(matrix.packed, whole.packed)
            assert list(matrix.variants.id) == list(whole.variants.id)
            assert matrix.variants.pos.tolist() == whole.variants.pos.tolist()


def test_line_numbers_hold_across_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "_SIZE", 200)
    rows = [record("0/1", "1/1", pos=i + 1) for i in range(500)]
    for place in range(0, 500, 37):
        wrong = [*rows[:place], record("0/1", "z"), *rows[place + 1 :]]
        with pytest.raises(DataError, match=rf"'z' of sample 'b' is not a genotype .*line {place + 3}\)"):
            read(HEADER + "a\tb\n" + "".join(wrong), tmp_path)


# Flips that leave the deflated data readable: only the check value tells that a genotype or a position has changed.
@pytest.mark.parametrize("place", range(30, 2000, 157))
def test_a_flipped_byte_is_a_corrupt_block_and_not_a_bad_line(tmp_path: Path, place: int) -> None:
    import struct
    import zlib

    text = vcf("0/1", "1/1", n_records=300).encode()
    wrong = bytearray(text)
    wrong[text.index(b"\n1\t10") + 1 + place] ^= 0x40
    good = bgzf(text)
    deflate = zlib.compressobj(0, zlib.DEFLATED, -15)
    body = deflate.compress(bytes(wrong)) + deflate.flush()
    block = struct.pack("<4BI2BH2s2H", 31, 139, 8, 4, 0, 0, 255, 6, b"BC", 2, len(body) + 25) + body
    content = block + struct.pack("<2I", zlib.crc32(text), len(text)) + good[-28:]
    with pytest.raises(DataError, match=r"corrupt BGZF block \(.*x\.vcf, byte 0\): its check value differs"):
        read(content, tmp_path)


def test_any_flipped_byte_of_a_compressed_file_is_found_or_harmless(tmp_path: Path) -> None:
    text = vcf("0/1", "1/1", "./.", n_records=400).encode()
    for compress, said in ((bgzf, "corrupt BGZF block|end-of-file block"), (gzip.compress, "damaged gzip|truncated")):
        content = compress(text)
        whole = read(content, tmp_path)
        for place in range(18, len(content), 11):
            wrong = bytearray(content)
            wrong[place] ^= 0x10
            try:
                matrix = read(bytes(wrong), tmp_path)
            except DataError as error:
                assert any(word in str(error) for word in said.split("|")), str(error)
            else:
                np.testing.assert_array_equal(matrix.packed, whole.packed)


def test_a_damaged_gzip_stream_is_said_to_be_damaged_even_where_its_text_is_bad(tmp_path: Path) -> None:
    wrong = gzip.compress(vcf("0/1", n_records=300).replace("\t100\t", "\tx00\t").encode(), mtime=0)
    with pytest.raises(DataError, match="POS 'x00'"):
        read(wrong, tmp_path)
    with pytest.raises(DataError, match="damaged gzip"):
        read(wrong[:-8] + b"\x00\x00\x00\x00" + wrong[-4:], tmp_path)


def test_blocks_that_are_no_blocks(tmp_path: Path) -> None:
    good = bgzf(vcf("0/1", n_records=9000).encode())
    second = int.from_bytes(good[16:18], "little") + 1
    end = good[-28:]
    for content, said in (
        (good[:second] + b"rubbish" * 5 + end, f"byte {second}\\): no block begins there"),
        (good[:second] + good[second : second + 40] + end, f"byte {second}\\)"),
        (good[:16] + b"\x05\x00" + good[18:], r"byte 0\): its size is wrong"),
        (good[:16] + b"\xff\xff" + good[18:second] + end, r"byte 0\)"),
    ):
        with pytest.raises(DataError, match=f"corrupt BGZF block .*{said}"):
            read(content, tmp_path)


def test_concatenated_and_empty_blocks_are_read(tmp_path: Path) -> None:
    one, two = bgzf(vcf("0/1").encode()), bgzf(record("1/1").encode())
    assert read(one + two, tmp_path).dosages().tolist() == [[1], [2]]


def test_a_position_of_thousands_of_digits(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="POS '999"):
        read(vcf("0/1").replace("\t10\t", "\t" + "9" * 9000 + "\t"), tmp_path)
    assert read(vcf("0/1").replace("\t10\t", "\t0000000000000010\t"), tmp_path).variants.pos.tolist() == [10]


@pytest.mark.parametrize(
    ("key", "said"), [("DS", "dosage=DS"), ("GP", "dosage=GP-force"), ("PL", "bcftools call"), ("GL", "ANGSD")]
)
def test_likelihoods_without_gt_are_told_how_to_become_genotypes(tmp_path: Path, key: str, said: str) -> None:
    with pytest.raises(DataError, match=rf"no genotypes \(GT\).*FORMAT has {key} instead.*{said}"):
        read(vcf("0.5", format_=key), tmp_path)


@pytest.mark.parametrize(("key", "values"), [("DS", ("0.02", "1.05", "1.98")), ("GP", ("1,0,0", "0,1,0", "0,0,1"))])
def test_the_command_that_makes_genotypes_of_dosages_does_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, values: tuple[str, ...]
) -> None:
    needs("plink2")
    monkeypatch.chdir(tmp_path)
    declared = "".join(f'##FORMAT=<ID={one},Number=.,Type=Float,Description="x">\n' for one in ("DS", "GP"))
    text = HEADER.replace("#CHROM", f"{declared}#CHROM") + "a\tb\tc\n" + record(*values, format_=key)
    with pytest.raises(DataError) as caught:
        read(text, tmp_path)
    command = str(caught.value).split("`")[1].replace("FILE", "x.vcf")
    subprocess.run(command.split(), check=True, capture_output=True)
    assert open_genotypes([tmp_path / "plink2.vcf.gz"]).dosages().tolist() == [[0, 1, 2]]


def test_threads_do_not_change_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "_SIZE", 500)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    whole = matrix_of(np.random.default_rng(8).integers(-1, 3, size=(2000, 9)).astype(np.int8))
    matrix = read(bgzf(vcf_text(whole).encode()), tmp_path)
    np.testing.assert_array_equal(matrix.packed, whole.packed)
    assert matrix.variants.pos.tolist() == whole.variants.pos.tolist()


def test_a_file_without_last_line_end_across_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pieces, "_SIZE", 50)
    with caplog.at_level(logging.WARNING, logger="genovi"):
        assert read(vcf("0/1", "1/1", n_records=50).rstrip("\n"), tmp_path).n_variants == 50
    assert "may be truncated" in caplog.text
