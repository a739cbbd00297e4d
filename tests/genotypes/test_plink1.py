from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_same, matrix_of, needs, real_data, run_tool, simulate_structure
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genovi.errors import DataError
from genovi.genotypes.converting import convert
from genovi.genotypes.counting import allele_counts
from genovi.genotypes.idlists import read_id_list
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes, open_sources
from genovi.genotypes.writing import write_plink1

shapes = st.tuples(st.integers(1, 9), st.integers(1, 13))


@given(hnp.arrays(np.int8, shapes, elements=st.integers(-1, 2)))
def test_writing_and_reading_give_back_the_matrix(
    tmp_path_factory: pytest.TempPathFactory, dosages: np.ndarray
) -> None:
    matrix = matrix_of(dosages)
    prefix = tmp_path_factory.mktemp("plink1") / "with.dots"
    write_plink1(matrix, prefix)
    assert_same(open_genotypes([prefix]), matrix)
    assert sorted(path.name for path in prefix.parent.iterdir()) == ["with.dots.bed", "with.dots.bim", "with.dots.fam"]


@pytest.fixture
def fileset(tmp_path: Path) -> Path:
    matrix, _ = simulate_structure(1, 2, 15, 40, 0.1, missing=0.1)
    write_plink1(matrix, tmp_path / "x")
    return tmp_path / "x"


@pytest.mark.parametrize("names", [[""], [".bed"], [".bim"], [".fam"], [".bed", ".bim", ".fam"]])
def test_a_fileset_is_named_by_prefix_or_any_of_its_files(fileset: Path, names: list[str]) -> None:
    matrix = open_genotypes([Path(f"{fileset}{suffix}") for suffix in names])
    assert (matrix.n_samples, matrix.n_variants) == (30, 40)
    assert isinstance(matrix.packed, np.memmap)
    assert matrix.facts.formats == ("PLINK 1",)


def test_bed_reader_reads_what_is_written(fileset: Path) -> None:
    from bed_reader import open_bed

    matrix = open_genotypes([fileset])
    with open_bed(f"{fileset}.bed") as reader:
        dosages = reader.read(dtype="int8").T
        np.testing.assert_array_equal(np.where(dosages == -127, -1, dosages), matrix.dosages())
        assert tuple(reader.iid) == matrix.samples
        np.testing.assert_array_equal(reader.allele_1, matrix.variants.alt.astype(str))
        np.testing.assert_array_equal(reader.bp_position, matrix.variants.pos)


def test_what_bed_reader_writes_is_read(tmp_path: Path) -> None:
    from bed_reader import to_bed

    dosages = np.random.default_rng(0).integers(-1, 3, size=(9, 6)).astype(np.int8)
    to_bed(tmp_path / "y.bed", np.where(dosages == -1, -127, dosages).T.astype(np.int8))
    np.testing.assert_array_equal(open_genotypes([tmp_path / "y.bed"]).dosages(), dosages)


def test_plink2_validates_and_counts_the_same(fileset: Path) -> None:
    plink2 = needs("plink2")
    out = f"{fileset}_out"
    base = [plink2, "--bfile", str(fileset), "--out", out, "--threads", "1"]
    assert subprocess.run([*base, "--validate"], capture_output=True).returncode == 0
    assert subprocess.run([*base, "--freq", "counts", "cols=altfreq,nobs"], capture_output=True).returncode == 0
    rows = [line.split("\t") for line in Path(f"{out}.acount").read_text().splitlines()[1:]]
    counts = allele_counts(open_genotypes([fileset]))
    assert [int(float(row[-2])) for row in rows] == counts.n_alt.tolist()
    assert [int(row[-1]) for row in rows] == (2 * counts.n_observed).tolist()


@pytest.mark.parametrize("n_extra", [-1, 1, -300])
def test_sizes_that_contradict_each_other_are_named(fileset: Path, n_extra: int) -> None:
    bed = Path(f"{fileset}.bed")
    data = bed.read_bytes()
    bed.write_bytes((data + b"\x00")[: len(data) + n_extra])
    expected = 3 + 40 * 8
    with pytest.raises(DataError, match=f"{expected + n_extra} bytes, expected {expected}"):
        open_genotypes([bed])


def test_sample_major_files_are_refused_with_advice(fileset: Path) -> None:
    bed = Path(f"{fileset}.bed")
    bed.write_bytes(b"\x6c\x1b\x00" + bed.read_bytes()[3:])
    with pytest.raises(DataError, match=r"sample-major.*--make-bed"):
        open_genotypes([bed])


def test_pgen_data_under_the_name_of_a_bed_are_refused_with_advice(fileset: Path) -> None:
    bed = Path(f"{fileset}.bed")
    bed.write_bytes(b"\x6c\x1b\x10" + bed.read_bytes()[3:])
    with pytest.raises(DataError, match=r"pgen.*--make-bed"):
        open_genotypes([bed])


@pytest.mark.parametrize("suffix", [".bed", ".bim", ".fam"])
def test_a_missing_part_is_named(fileset: Path, suffix: str) -> None:
    Path(f"{fileset}{suffix}").unlink()
    with pytest.raises(DataError, match=f"x{suffix}") as caught:
        open_genotypes([Path(f"{fileset}{'.fam' if suffix == '.bed' else '.bed'}")])
    assert f"no {suffix} file" in str(caught.value)


def test_bed_intervals_are_not_genotypes(tmp_path: Path) -> None:
    (tmp_path / "genes.bed").write_text("chr1\t10\t20\n")
    with pytest.raises(DataError, match="not a VCF"):
        open_genotypes([tmp_path / "genes.bed"])


@pytest.mark.parametrize(
    ("suffix", "old", "new", "message"),
    [
        (".bim", "\t0\t50000\t", "\t0\t5e4\t", r"position '5e4'.*line 1"),
        (".bim", "v2\t0\t", "v2\t", r"5 columns, expected 6.*line 2"),
        (".fam", "s3\t0\t", "s3\t", r"5 columns, expected 6.*line 3"),
        (".fam", "s3", "s2", r"'0_s2' occurs twice"),
    ],
)
def test_malformed_tables_are_named_by_line(fileset: Path, suffix: str, old: str, new: str, message: str) -> None:
    path = Path(f"{fileset}{suffix}")
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=message.split(".*")[0]) as caught:
        open_genotypes([fileset])
    assert all(part in str(caught.value) for part in message.split(".*"))


def test_repeated_iids_are_warned_of_once(fileset: Path, caplog: pytest.LogCaptureFixture) -> None:
    fam, bim = Path(f"{fileset}.fam"), Path(f"{fileset}.bim")
    fam.write_text("".join(f"f{i} s{i // 2} 0 0 0 -9\n" for i in range(30)))
    for text in (bim.read_text(), "\n" + bim.read_text()):  # the second is read line by line
        bim.write_text(text)
        with open_sources([fileset]) as sources:
            assert sources[0].samples[1] == "f1_s0"
            list(sources[0].batches(None))
            assert sources[0].whole is not None
            sources[0].whole()
        assert caplog.text.count("FID_IID") == 1
        caplog.clear()


def test_lists_of_plink_name_samples_whose_iids_repeat(fileset: Path, tmp_path: Path) -> None:
    fam = Path(f"{fileset}.fam")
    fam.write_text("".join(f"f{i % 2} s{i // 2} 0 0 0 -9\n" for i in range(30)))
    (tmp_path / "list").write_text("f1 s0\nf0 s1\n")
    listed = read_id_list(tmp_path / "list", families=True)
    out = tmp_path / "out"
    everything = QCConfig(maf=0, geno=1, mind=1, indep_pairwise=None, autosomes_only=False)
    run_tool(needs("plink2"), "--bfile", fileset, "--keep", tmp_path / "list", "--make-just-fam", "--out", out)
    expected = ["_".join(line.split()[:2]) for line in Path(f"{out}.fam").read_text().splitlines()]
    assert convert([fileset], tmp_path / "kept", replace(everything, keep=listed)).n_samples == 2
    assert list(open_genotypes([tmp_path / "kept"]).samples) == expected == ["f1_s0", "f0_s1"]
    convert([fileset], tmp_path / "left", replace(everything, remove=listed))
    assert not {"f1_s0", "f0_s1"} & set(open_genotypes([tmp_path / "left"]).samples)


def test_repeated_iids_become_family_and_individual(fileset: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = Path(f"{fileset}.fam")
    lines = [f"f{i} s{i // 2} 0 0 0 -9" for i in range(30)]
    path.write_text("\n".join(lines) + "\n")
    assert open_genotypes([fileset]).samples[:3] == ("f0_s0", "f1_s0", "f2_s1")
    assert "FID_IID" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alt": "A,C"}, "ALT alleles A,C"),
        ({"id": "rs 1"}, "variant name 'rs 1'"),
        ({"chrom": ""}, "contig name ''"),
    ],
)
def test_what_the_format_cannot_hold_is_not_written(tmp_path: Path, change: dict[str, str], message: str) -> None:
    matrix = matrix_of(np.zeros((1, 2), dtype=np.int8))
    columns = {name: np.array([value], dtype=object) for name, value in change.items()}
    with pytest.raises(DataError, match=message):
        write_plink1(replace(matrix, variants=replace(matrix.variants, **columns)), tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_foreign_padding_bits_do_no_harm(tmp_path: Path) -> None:
    matrix = matrix_of(np.array([[0, 1, 2, -1, 1]], dtype=np.int8))
    dirty = replace(matrix, packed=matrix.packed | np.array([0, 0b01010100], dtype=np.uint8))
    write_plink1(dirty, tmp_path / "x")
    assert (tmp_path / "x.bed").read_bytes()[3:] == matrix.packed.tobytes()
    assert allele_counts(dirty).n_observed.tolist() == [4]


@pytest.mark.real
@pytest.mark.parametrize("name", ["kgp3/kgp3", "hapmap3/hapmap3", "wolves/wolvesadmix", "ho249/HumanOrigins249_tiny"])
def test_bed_reader_reads_real_filesets_the_same(name: str) -> None:
    from bed_reader import open_bed

    prefix = real_data(f"{name}.bed").with_suffix("")
    matrix = open_genotypes([Path(f"{prefix}.bed")])
    # The counts are given because bed-reader does not parse tables that are padded with spaces.
    with open_bed(f"{prefix}.bed", iid_count=matrix.n_samples, sid_count=matrix.n_variants) as reader:
        dosages = reader.read(dtype="int8").T
    np.testing.assert_array_equal(np.where(dosages == -127, -1, dosages), matrix.dosages())
    bim = [line.split() for line in Path(f"{prefix}.bim").read_text().splitlines()]
    assert [[row[0], row[1], int(row[3]), row[4], row[5]] for row in bim] == [
        list(row)
        for row in zip(
            *(getattr(matrix.variants, c).tolist() for c in ("chrom", "id", "pos", "alt", "ref")), strict=True
        )
    ]


@pytest.mark.real
def test_kgp3_is_the_same_as_vcf_and_as_bed() -> None:
    vcf, bed = open_genotypes([real_data("kgp3/kgp3.vcf.gz")]), open_genotypes([real_data("kgp3/kgp3.bed")])
    assert vcf.samples == bed.samples
    np.testing.assert_array_equal(vcf.variants.pos, bed.variants.pos)
    same = vcf.variants.alt == bed.variants.alt
    swapped = (vcf.variants.alt == bed.variants.ref) & (vcf.variants.ref == bed.variants.alt)
    assert np.all(same ^ swapped)
    expected = np.where(swapped[:, None], 2 - vcf.dosages(), vcf.dosages())
    np.testing.assert_array_equal(bed.dosages(), expected)  # nothing is missing in these data
