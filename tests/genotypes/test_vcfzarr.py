"""VCF Zarr against the VCF that bio2zarr made it from."""

from __future__ import annotations

import builtins
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import assert_same, bgzf, needs, real_data, run_tool

from genovi.errors import DataError
from genovi.genotypes import vcfzarr
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.reading import open_genotypes

zarr = pytest.importorskip("zarr", reason="the extra 'zarr' is not installed")

HEADER = """##fileformat=VCFv4.2
##reference=GRCh38.fa
##contig=<ID=chr1,length=248956422>
##contig=<ID=chrX,length=156040895>
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=DS,Number=1,Type=Float,Description="Dosage">
"""
ROWS = (
    ("chr1", "10", "rs1", "A", "C", "0/0 0/1 1|1 ./. 0/0"),
    ("chr1", "20", ".", "a", "G,T", "0/2 1/1 2/2 0/1 ./1"),
    ("chr1", "30", ".", "A", ".", "0/0 0/0 ./. 0/0 ."),
    ("chr1", "30", "del", "AT", "A", "0/. 1/1 0/0 0/1 0/0"),
    ("chrX", "40", "x", "A", "<DEL>", "0 1 . 0/1 1/1"),
    ("chrX", "50", ".", "C", "T", "0/0 0/0 0/0 0/0 0/0"),
)


def vcf_of(rows: tuple[tuple[str, ...], ...], format_: str = "GT") -> bytes:
    fixed = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", "a", "b", "c", "d", "e"]
    lines = ["\t".join([*row[:5], ".", ".", ".", format_, *row[5].split()]) for row in rows]
    return (HEADER + "\n".join(["\t".join(fixed), *lines]) + "\n").encode()


def to_zarr(vcf: Path, store: Path, **options: Any) -> Path:
    """What bio2zarr makes of an indexed VCF."""
    bio2zarr = pytest.importorskip("bio2zarr.vcf")
    run_tool(needs("bcftools"), "index", "--force", "--tbi", vcf)
    bio2zarr.convert([vcf], store, worker_processes=0, **options)
    return store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a.vcf.gz; the stores v2.vcz, v3.vcz and small.vcz of it (several chunks each way)."""
    folder = tmp_path_factory.mktemp("zarr")
    (folder / "a.vcf.gz").write_bytes(bgzf(vcf_of(ROWS)))
    to_zarr(folder / "a.vcf.gz", folder / "v2.vcz", zarr_format=2)
    to_zarr(folder / "a.vcf.gz", folder / "v3.vcz", zarr_format=3)
    to_zarr(folder / "a.vcf.gz", folder / "small.vcz", variants_chunk_size=4, samples_chunk_size=4)
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A copy of v2.vcz to break."""
    return Path(shutil.copytree(made / "v2.vcz", tmp_path / "x.vcz"))


def zipped(folder: Path, archive: Path, top: str = "") -> Path:
    with zipfile.ZipFile(archive, "w") as out:
        for path in sorted(folder.rglob("*")):
            if top or path.is_file():
                out.write(path, f"{top}{path.relative_to(folder)}")
    return archive


def check_same(here: GenotypeMatrix, there: GenotypeMatrix) -> None:
    assert_same(here, there)
    for name in ("references", "contig_lengths", "half_calls", "haploid_calls"):
        assert getattr(here.facts, name) == getattr(there.facts, name), name


@pytest.mark.parametrize("name", ["v2.vcz", "v3.vcz", "small.vcz"])
def test_a_store_holds_what_its_vcf_holds(made: Path, tmp_path: Path, name: str) -> None:
    vcf = open_genotypes([made / "a.vcf.gz"])
    matrix = open_genotypes([made / name])
    check_same(matrix, vcf)
    assert matrix.facts.formats == ("VCF Zarr",)
    assert matrix.facts.half_calls > 0 < matrix.facts.haploid_calls
    check_same(open_genotypes([zipped(made / name, tmp_path / "x.zip")]), vcf)
    check_same(open_genotypes([zipped(made / name, tmp_path / "y.zip", "deep/x.vcz/")]), vcf)


def test_every_pair_of_alleles_is_as_in_vcf(tmp_path: Path) -> None:
    texts = [f"{a}/{b}" for a in ".012" for b in ".012"] + list(".012")
    texts += ["0/0"] * (-len(texts) % 5)
    rows = tuple(
        ("chr1", str(i + 1), ".", "A", "C,G", " ".join(texts[5 * i : 5 * i + 5])) for i in range(len(texts) // 5)
    )
    (tmp_path / "a.vcf.gz").write_bytes(bgzf(vcf_of(rows)))
    check_same(
        open_genotypes([to_zarr(tmp_path / "a.vcf.gz", tmp_path / "a.vcz")]), open_genotypes([tmp_path / "a.vcf.gz"])
    )


@pytest.mark.parametrize("block", [1, 1 << 26])
def test_blocks_do_not_show(made: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(vcfzarr, "_BLOCK_BYTES", block)
    check_same(open_genotypes([made / "small.vcz"]), open_genotypes([made / "a.vcf.gz"]))


@pytest.mark.real
def test_real_data_are_the_same_as_vcf(tmp_path: Path) -> None:
    source = real_data("kgp_by_chromosome/1KG_phase3_subset_chr22.vcf.gz")
    run_tool(needs("bcftools"), "view", source, "-Oz", "-o", tmp_path / "a.vcf.gz")
    matrix = open_genotypes([to_zarr(tmp_path / "a.vcf.gz", tmp_path / "a.vcz", variants_chunk_size=100)])
    assert_same(matrix, open_genotypes([source]))
    assert matrix.n_variants == 1120


def edit(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """Write an array of the store again."""

    def apply(store: Path) -> None:
        group = zarr.open_group(str(store), mode="r+", zarr_format=2)
        data = change(group[name][:])
        del group[name]
        group.create_array(name, data=data)

    return apply


def polyploid(calls: np.ndarray) -> np.ndarray:
    wide = np.concatenate([calls, np.full_like(calls[..., :1], -2)], axis=2)
    wide[3, 2] = 1
    return wide


# What happens to the store, and what is said.
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no positions": (lambda s: shutil.rmtree(s / "variant_position"), r"no array variant_position.*vcf2zarr"),
    "no contigs": (lambda s: shutil.rmtree(s / "contig_id"), r"no contig_id"),
    "lost positions": (lambda s: (s / "variant_position" / "0").unlink(), r"1 chunks of variant_position.*in part"),
    "damaged chunk": (lambda s: (s / "call_genotype" / "0.0.0").write_bytes(b"x"), r"damaged VCF Zarr store"),
    "damaged metadata": (lambda s: (s / "call_genotype" / ".zarray").write_text("{"), r"damaged VCF Zarr store"),
    "fewer samples": (edit("sample_id", lambda names: names[:-1].astype("U9")), r"shape \(6, 5, 2\).* 4 samples"),
    "twice": (edit("sample_id", lambda names: np.array(["a", "b", "c", "b", "e"])), r"'b' occurs twice"),
    "contig": (edit("variant_contig", lambda index: index + 1), r"variant_contig names a contig"),
    "allele": (edit("call_genotype", lambda calls: calls + 2), r"sample 'a' names an allele .*chr1:10"),
    "polyploid": (edit("call_genotype", polyploid), r"sample 'c' has more than two alleles .*chr1:30"),
    "no variants": (lambda s: [edit(name, lambda x: x[:0].astype("U1") if x.dtype.kind not in "ibf" else x[:0])(s)
                               for name in ("variant_position", "variant_allele", "variant_contig", "variant_id",
                                            "call_genotype")], r"no variants"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("as_zip", [False, True])
def test_bad_stores_are_named(store: Path, name: str, as_zip: bool) -> None:
    change, message = BAD[name]
    change(store)
    path = zipped(store, store.parent / "x.vcz.zip") if as_zip else store
    with pytest.raises(DataError, match=message) as caught:
        open_genotypes([path])
    assert "x.vcz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lost_genotypes_do_not_pass_unseen(made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Path(shutil.copytree(made / "small.vcz", tmp_path / "x.vcz"))
    open_genotypes([store])
    assert "not there" not in caplog.text
    (store / "call_genotype" / "0" / "0" / "0").unlink(missing_ok=True)
    (store / "call_genotype" / "0.0.0").unlink(missing_ok=True)
    open_genotypes([store])
    assert "1 chunks of call_genotype are not there; they are read as homozygous for REF" in caplog.text


def test_a_cut_archive_is_named(made: Path, tmp_path: Path) -> None:
    archive = zipped(made / "v2.vcz", tmp_path / "x.vcz.zip")
    archive.write_bytes(archive.read_bytes()[:-300])
    with pytest.raises(DataError, match=r"damaged VCF Zarr store .*x\.vcz\.zip"):
        open_genotypes([archive])


def test_dosages_without_genotypes_are_told(tmp_path: Path) -> None:
    rows = tuple((*row[:5], "0.1 0.2 0.3 0.4 0.5") for row in ROWS)
    (tmp_path / "a.vcf.gz").write_bytes(bgzf(vcf_of(rows, "DS")))
    store = to_zarr(tmp_path / "a.vcf.gz", tmp_path / "a.vcz")
    for path in (store, tmp_path / "a.vcf.gz"):
        with pytest.raises(DataError, match=r"no genotypes .*DS instead, which genovi does not read"):
            open_genotypes([path])


def test_other_folders_and_archives_are_told(tmp_path: Path) -> None:
    (tmp_path / "icf").mkdir()
    (tmp_path / "icf" / "metadata.json").write_text("{}")
    with pytest.raises(DataError, match="vcf2zarr encode"):
        open_genotypes([tmp_path / "icf"])
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as out:
        out.writestr("a.vcf", vcf_of(ROWS))
    with pytest.raises(DataError, match="a zip archive, not genotypes"):
        open_genotypes([tmp_path / "x.zip"])
    zarr.open_group(str(tmp_path / "other.zarr"), mode="w")
    with pytest.raises(DataError, match="no array sample_id, variant_contig"):
        open_genotypes([tmp_path / "other.zarr"])


def test_a_missing_extra_says_what_to_type(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def without(wanted: str, *rest: Any, **more: Any) -> Any:
        if wanted.split(".")[0] == "zarr":
            raise ImportError(wanted)
        return load(wanted, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r"zarr, which is not installed .*pip install 'genovi-popgen\[zarr\]'"):
        open_genotypes([made / "v2.vcz"])
