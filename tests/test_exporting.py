"""A model in one file: what is shared works as the run does, names nobody, and a stranger's file can do no harm."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import simulate_structure, write_vcf
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from typer.testing import CliRunner, Result

from genovi import manifest as manifests
from genovi.embedding import Embedding
from genovi.errors import DataError
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.manifest import FORMAT_VERSION, read_manifest
from genovi.modelfiles import EMBEDDING, MANIFEST, NEEDED, VARIANTS, WEIGHTS, inflate
from genovi.provenance import peak_memory_mib
from genovi.trained import TrainedModel
from genovi_cli.app import app

FAST = ("--epochs", "2", "--batch-size", "32", "--steps", "1", "--device", "cpu", "--threads", "1", "--seed", "1")
Members = dict[str, bytes]


def typed(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="genovi")


def named(matrix: GenotypeMatrix, prefix: str) -> GenotypeMatrix:
    names = tuple(f"{prefix}_{i:03d}" for i in range(matrix.n_samples))
    return GenotypeMatrix(matrix.packed, names, matrix.variants)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, its exports, new genotypes and labels."""
    folder = tmp_path_factory.mktemp("somebodys-home")
    matrix, populations = simulate_structure(4, 3, 25, 200, 0.15, 0.01)
    new = np.arange(75) % 25 >= 20
    write_vcf(folder / "cohort.vcf.gz", named(matrix.take_samples(np.flatnonzero(~new)), "PERSON"), "bgzf")
    write_vcf(folder / "new.vcf.gz", named(matrix.take_samples(np.flatnonzero(new)), "NEW"), "bgzf")
    rows = [f"PERSON_{i:03d}\t{pop}" for i, pop in enumerate(populations[~new])]
    (folder / "panel.tsv").write_text("\n".join(["sample\tpop", *rows]) + "\n")
    (folder / "out.txt").write_text("PERSON_007\n")
    words = ["train", folder / "cohort.vcf.gz", "--out", folder / "run", "--remove", folder / "out.txt", *FAST]
    result = typed(*words)
    assert result.exit_code == 0, result.output
    assert typed("export", folder / "run", "--out", folder / "model.genovi").exit_code == 0
    assert typed("export", folder / "run", "--out", folder / "whole.genovi", "--keep-embedding").exit_code == 0
    return folder


@pytest.fixture(autouse=True)
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test types in a folder of its own with links to what was made."""
    monkeypatch.chdir(tmp_path)
    for path in made.iterdir():
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


def embedded(run: str, vcf: str, out: str) -> Embedding:
    result = typed("embed", run, vcf, "--out", out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    return Embedding.read_tsv(Path(f"{out}.embedding.tsv"))


# What a good file does.


@pytest.mark.parametrize("kept", [True, False], ids=["with embedding", "without"])
def test_one_file_embeds_bit_for_bit_as_the_run_does(here: Path, kept: bool) -> None:
    run = here / "copy"
    run.mkdir()
    for name in (*NEEDED, *((EMBEDDING,) if kept else ())):
        (run / name).write_bytes((here / "run" / name).read_bytes())
    for vcf in ("new.vcf.gz", "cohort.vcf.gz"):
        one = embedded("copy", vcf, f"a-{vcf}")
        other = embedded("whole.genovi" if kept else "model.genovi", vcf, f"b-{vcf}")
        assert one.samples == other.samples
        for name in ("mean", "std", "cluster", "cluster_prob", "missing", "misfit"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_training_samples_keep_their_rows_only_where_the_embedding_is_kept() -> None:
    known = Embedding.read_tsv(Path("run/embedding.tsv"))
    kept = embedded("whole.genovi", "cohort.vcf.gz", "a")
    row = {sample: i for i, sample in enumerate(kept.samples)}
    np.testing.assert_allclose(kept.mean[[row[sample] for sample in known.samples]], known.mean, atol=1e-5)
    result = typed("embed", "model.genovi", "cohort.vcf.gz", "--out", "b")
    assert result.exit_code == 0
    assert "keep their positions" not in result.stdout


def test_nobody_is_named_and_no_machine() -> None:
    content = Path("model.genovi").read_bytes()
    with zipfile.ZipFile("model.genovi") as archive:
        assert archive.namelist() == list((MANIFEST, WEIGHTS, VARIANTS))
        text = content + gzip.decompress(archive.read(VARIANTS))
        record = json.loads(archive.read(MANIFEST))
    for word in (b"PERSON", b"somebodys-home"):
        assert word not in text
    provenance = record["summary"]["provenance"]
    assert "host" not in provenance
    assert provenance["command"].startswith("genovi train cohort.vcf.gz --out run --remove out.txt ")
    assert b"PERSON_000" in Path("whole.genovi").read_bytes()
    assert b"PERSON_007" not in Path("whole.genovi").read_bytes()


def test_exporting_again_gives_the_same_bytes() -> None:
    assert typed("export", "run", "--out", "again.genovi").exit_code == 0
    assert Path("again.genovi").read_bytes() == Path("model.genovi").read_bytes()
    time.sleep(0.01)
    assert typed("export", "whole.genovi", "--out", "third.genovi").exit_code == 0
    assert Path("third.genovi").read_bytes() == Path("model.genovi").read_bytes()


def test_the_file_is_an_ordinary_zip_that_anybody_may_read(made: Path) -> None:
    with zipfile.ZipFile("model.genovi") as archive:
        assert archive.testzip() is None
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
    assert (made / "model.genovi").stat().st_mode == (made / "run" / "model.json").stat().st_mode


@pytest.mark.parametrize(
    ("code", "said", "words"),
    [
        (3, "not a genovi model (absent)", ["export", "absent", "--out", "x.genovi"]),
        (3, "not a genovi model", ["export", ".", "--out", "x.genovi"]),
        (2, "--force", ["export", "run", "--out", "panel.tsv"]),
        (2, "--out", ["export", "run"]),
        (5, "cannot write", ["export", "run", "--out", "panel.tsv/x.genovi"]),
        (3, "no embedding to keep (model.genovi)", ["export", "model.genovi", "--out", "x.genovi", "--keep-embedding"]),
        (3, "not a genovi model (absent)", ["card", "absent"]),
        (3, "not a genovi model (panel.tsv)", ["card", "panel.tsv"]),
        (2, "--force", ["card", "run", "--out", "panel.tsv"]),
        (3, "--keep-embedding", ["card", "model.genovi", "--labels", "panel.tsv"]),
        (3, "no embedding in this export (model.genovi)", ["cluster", "model.genovi", "--out", "x"]),
        (3, "needs the folder of a run (model.genovi)", ["report", "model.genovi", "--out", "x.html"]),
        (3, "absent.tsv", ["card", "run", "--labels", "absent.tsv"]),
        (2, "RUN", ["card"]),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(here: Path, code: int, said: str, words: list[str]) -> None:
    before = sorted(here.rglob("*"))
    check(typed(*words), code, said)
    assert sorted(here.rglob("*")) == before


def check(result: Result, code: int, said: str) -> None:
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("genovi: error: ")
    assert said in lines[0]
    assert lines[0].isprintable()
    assert len(lines[0]) < 500


# What a bad file can not do.


def members_of(path: str = "model.genovi") -> Members:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(members: Members, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def with_manifest(change: Callable[[dict[str, Any]], object]) -> bytes:
    members = members_of()
    record = json.loads(members[MANIFEST])
    change(record)
    return pack(members | {MANIFEST: json.dumps(record).encode()})


def with_tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> bytes:
    members = members_of()
    tensors = load_tensors(members[WEIGHTS])
    change(tensors)
    return pack(members | {WEIGHTS: save_tensors(tensors)})


def with_header(header: bytes, length: int | None = None) -> bytes:
    """The weights under another header of safetensors."""
    members = members_of()
    size = struct.pack("<Q", len(header) if length is None else length)
    return pack(members | {WEIGHTS: size + header + members[WEIGHTS][-64:]})


def renamed(old: str, new: str) -> bytes:
    """The archive with the name of a member overwritten in both places, as no zip program would write it."""
    assert len(old) == len(new)
    return pack(members_of()).replace(old.encode(), new.encode())


def twice() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        for name, content in [*members_of().items(), (MANIFEST, b"{}")]:
            archive.writestr(name, content)
    return buffer.getvalue()


def flagged(bit: int) -> bytes:
    """Flags of the first member set in both headers, as encryption sets bit 0."""
    content = bytearray(pack(members_of()))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.index(mark) + at
        content[place] |= bit
    return bytes(content)


def flipped_byte() -> bytes:
    content = bytearray(Path("model.genovi").read_bytes())
    content[len(content) // 2] ^= 0xFF
    return bytes(content)


def larger_than_it_is() -> bytes:
    """Sizes in the directory that the file does not have."""
    content = bytearray(pack(members_of()))
    at = content.index(b"PK\x01\x02") + 20
    content[at : at + 8] = struct.pack("<II", 2**31, 2**31)
    return bytes(content)


def gzip_bomb(n_mib: int) -> bytes:
    """Rows without an end in little space: a megabyte becomes a gigabyte."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b"0" * 2**20
    return b"".join([*(deflate.compress(block) for _ in range(n_mib)), deflate.flush()])


def deep(levels: int) -> bytes:
    return b'{"format": "genovi model", "summary": ' + b"[" * levels + b"]" * levels + b"}"


def big(name: str, value: int) -> Callable[[], bytes]:
    return lambda: with_manifest(lambda m: m["model"].update({name: value}))


class _Trap:
    """Creates a file when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (Path("sprung"),)


def torch_pickle() -> bytes:
    buffer = io.BytesIO()
    torch.save(_Trap(), buffer)
    return buffer.getvalue()


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    # the archive
    "empty": (lambda: b"", "not a genovi model"),
    "text": (lambda: b"sample\tpop\n", "not a genovi model"),
    "a zip of nothing": (lambda: pack({}), "there is no model.json"),
    "cut off": (lambda: Path("model.genovi").read_bytes()[:-40], "damaged model"),
    "a half": (lambda: Path("model.genovi").read_bytes()[:9000], "damaged model"),
    "a byte changed": (flipped_byte, "CRC"),
    "no weights": (lambda: pack({n: c for n, c in members_of().items() if n != WEIGHTS}), "no model.safetensors"),
    "a member more": (lambda: pack(members_of() | {"evil.py": b"import os"}), "'evil.py'"),
    "a path upwards": (lambda: pack(members_of() | {"../../evil": b"x"}), "'../../evil'"),
    "an absolute path": (lambda: pack(members_of() | {"/tmp/evil": b"x"}), "'/tmp/evil'"),
    "a path of Windows": (lambda: pack(members_of() | {"..\\evil": b"x"}), "evil"),
    "a path in place of a member": (lambda: renamed("model.json", "../../evil"), "'../../evil'"),
    "a name with a command for the terminal": (lambda: pack(members_of() | {"\x1b[31mred": b""}), "red"),
    "a member twice": (twice, "twice"),
    "compressed": (lambda: pack(members_of(), zipfile.ZIP_DEFLATED), "compressed or encrypted"),
    "a zip bomb": (lambda: pack(members_of() | {WEIGHTS: bytes(2**26)}, zipfile.ZIP_DEFLATED), "compressed"),
    "encrypted": (lambda: flagged(1), "compressed or encrypted"),
    "many members": (lambda: pack({f"{i}": b"" for i in range(20_000)}), "no part of a model"),
    "larger than it is": (larger_than_it_is, "damaged model"),
    "a pickle": (lambda: pickle.dumps(_Trap()), "not a genovi model"),
    "a model of torch": (torch_pickle, "no part of a model"),
    "a pickle for a manifest": (lambda: pack(members_of() | {MANIFEST: pickle.dumps(_Trap())}), "model.json"),
    "a pickle for weights": (lambda: pack(members_of() | {WEIGHTS: pickle.dumps(_Trap())}), "damaged model"),
    "a pickle for variants": (lambda: pack(members_of() | {VARIANTS: pickle.dumps(_Trap())}), "damaged model"),
    # the manifest
    "newer": (lambda: with_manifest(lambda m: m.update(format_version=FORMAT_VERSION + 1)), "install a newer genovi"),
    "version far away": (lambda: with_manifest(lambda m: m.update(format_version=10**300)), "format version"),
    "version 0": (lambda: with_manifest(lambda m: m.update(format_version=0)), "format_version is 0"),
    "version True": (lambda: with_manifest(lambda m: m.update(format_version=True)), "format_version is True"),
    "a number too long to read": (lambda: pack(members_of() | {MANIFEST: b"1" * 5000}), "model.json"),
    "too deep": (lambda: pack(members_of() | {MANIFEST: deep(100_000)}), "model.json"),
    "larger than any": (lambda: pack(members_of() | {MANIFEST: b" " * (2**24 + 1)}), "larger than"),
    "not a number": (lambda: with_manifest(lambda m: m.update(noise_scale=float("nan"))), "NaN is no number"),
    "text for a number": (lambda: with_manifest(lambda m: m.update(n_samples="9" * 999)), "n_samples is '999"),
    "a list for a name": (lambda: with_manifest(lambda m: m["model"].update(posterior=["ddvi"])), "model.posterior"),
    "an unknown entry": (lambda: with_manifest(lambda m: m["model"].update(__class__="os")), "unknown entry"),
    "terminal codes": (lambda: with_manifest(lambda m: m.update(build="\x1b[2J")), "build is "),
    "a lone surrogate": (lambda: with_manifest(lambda m: m.update(build="\ud800")), "build is "),
    "a width that the file does not have": (big("hidden", 20_000), "of the size that model.json says"),
    "a width that fills memory": (big("hidden", 10**6), "damaged model"),
    "a width that fills all memory": (big("hidden", 2**62), "damaged model"),
    "axes that fill memory": (big("latent_dim", 10**8), "damaged model"),
    "components that fill memory": (big("components", 10**9), "damaged model"),
    "steps without end": (big("steps", 10**9), "damaged model"),
    "samples below zero": (lambda: with_manifest(lambda m: m.update(n_samples=-1)), "n_samples is -1"),
    "more variants than there are": (lambda: with_manifest(lambda m: m.update(n_variants=10**12)), "contradict"),
    # the weights
    "a header without end": (lambda: with_header(b"{}", 2**63), "damaged model"),
    "a header longer than the file": (lambda: with_header(b"{}", 10**6), "damaged model"),
    "a header of 101 MB": (lambda: with_header(b" " * (101 * 10**6)), "damaged model"),
    "a header that is no JSON": (lambda: with_header(b"{" * 1000), "damaged model"),
    "a header with offsets outside": (
        lambda: with_header(b'{"axes.loadings":{"dtype":"F32","shape":[9],"data_offsets":[0,36000]}}'), "damaged model"
    ),
    "a shape that overflows": (
        lambda: with_header(
            b'{"axes.loadings":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,64]}}'
        ),
        "damaged model",
    ),
    "a shape without an end and no numbers": (
        lambda: with_tensors(lambda t: t.update({"axes.loadings": torch.zeros(2**40, 0)})), "contradict"
    ),
    "other numbers": (
        lambda: with_tensors(lambda t: t.update({"axes.loadings": t["axes.loadings"].to(torch.int64)})), "int64"
    ),
    "loadings of another shape": (
        lambda: with_tensors(lambda t: t.update({"axes.loadings": t["axes.loadings"].T.contiguous()})), "contradict"
    ),
    "a weight of another shape": (
        lambda: with_tensors(lambda t: t.update({"model.likelihood.scale": torch.ones(7)})), "damaged model"
    ),
    # the variants
    "a bomb of gzip": (lambda: pack(members_of() | {VARIANTS: gzip_bomb(64)}), "longer than"),
    "gzip cut off": (lambda: pack(members_of() | {VARIANTS: members_of()[VARIANTS][:-9]}), "damaged model"),
    "no gzip": (lambda: pack(members_of() | {VARIANTS: b"CHROM\tPOS\n"}), "damaged model"),
    "bytes for variants": (lambda: pack(members_of() | {VARIANTS: gzip.compress(bytes(range(256)))}), "damaged model"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_one_line_and_run_nothing(here: Path, name: str) -> None:
    make, said = HOSTILE[name]
    (here / "bad.genovi").write_bytes(make())
    before = sorted(path for path in here.rglob("*"))
    memory = peak_memory_mib()
    check(typed("embed", "bad.genovi", "new.vcf.gz", "--out", "out"), 3, said)
    # two copies of 101 MB are the file's own size; what a file only claims is never allocated
    assert peak_memory_mib() < memory + 700
    assert sorted(here.rglob("*")) == before
    assert not (here / "sprung").exists()
    assert not Path("/tmp/evil").exists()


@pytest.mark.parametrize("name", ["a path upwards", "newer", "a zip bomb", "too deep", "a pickle for weights"])
def test_every_door_refuses_them(here: Path, name: str) -> None:
    make, said = HOSTILE[name]
    (here / "bad.genovi").write_bytes(make())
    check(typed("export", "bad.genovi", "--out", "out.genovi"), 3, said)
    if "weights" not in name:  # a card makes nothing of the weights but a checksum
        check(typed("card", "bad.genovi"), 3, said)
        check(typed("ensemble", "bad.genovi", "whole.genovi", "--out", "out"), 3, said)


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_members_of_a_folder_are_met_alike(here: Path, made: Path, name: str) -> None:
    (here / "folder").mkdir()
    for member, content in members_of().items():
        (here / "folder" / member).write_bytes(content)
    assert typed("embed", "folder", "new.vcf.gz", "--out", "fine").exit_code == 0
    bad = {MANIFEST: deep(100_000), WEIGHTS: struct.pack("<Q", 2**63) + b"{}", VARIANTS: gzip_bomb(64)}[name]
    (here / "folder" / name).write_bytes(bad)
    check(typed("embed", "folder", "new.vcf.gz", "--out", "out"), 3, "damaged model (folder")


def test_a_kept_embedding_that_is_damaged_costs_only_the_rows(here: Path) -> None:
    for content in (b"\xff\xfe", b"IID\tZ1\nx\t1\ty\n", b""):
        (here / "odd.genovi").write_bytes(pack(members_of() | {EMBEDDING: content}))
        result = typed("embed", "odd.genovi", "new.vcf.gz", "--out", "out", "--force")
        assert result.exit_code == 0, result.output
        assert "training samples among the input are not recognised" in result.stderr


def test_the_most_that_variants_may_grow_is_kept_to() -> None:
    assert inflate(gzip.compress(b"0" * 2048), 1, "x") == b"0" * 2048
    with pytest.raises(DataError, match="longer than 1 variants"):
        inflate(gzip.compress(b"0" * 2049), 1, "x")


# Format versions.


def test_older_formats_are_brought_up_step_by_step(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []

    def second(record: dict[str, Any]) -> dict[str, Any]:
        steps.append(1)
        return record | {"n_samples": record["samples"]}

    def third(record: dict[str, Any]) -> dict[str, Any]:
        steps.append(2)
        return record | {"seed": record["seed"] + 1}

    monkeypatch.setattr(manifests, "FORMAT_VERSION", FORMAT_VERSION + 2)
    monkeypatch.setattr(manifests, "MIGRATIONS", {FORMAT_VERSION: second, FORMAT_VERSION + 1: third})
    members = members_of()
    record = json.loads(members[MANIFEST])
    record["samples"] = record.pop("n_samples")
    (here / "old.genovi").write_bytes(pack(members | {MANIFEST: json.dumps(record).encode()}))
    found = read_manifest(Path("old.genovi"))
    assert steps == [1, 2]
    assert (found.n_samples, found.seed) == (59, 2)
    assert TrainedModel.load(Path("old.genovi")).axes.n_samples == 59
    record.pop("samples")
    (here / "bad.genovi").write_bytes(pack(members | {MANIFEST: json.dumps(record).encode()}))
    check(typed("card", "bad.genovi"), 3, f"cannot be brought to format version {FORMAT_VERSION + 1}")


def test_every_older_format_has_a_way_up() -> None:
    assert set(manifests.MIGRATIONS) == set(range(1, FORMAT_VERSION))


# The card.


def test_a_card_says_what_the_files_say() -> None:
    text = typed("card", "run").stdout
    record = json.loads(Path("run/model.json").read_text())
    for said in (
        "# Model card: run",
        "| training samples | 59 |",
        f"| variants | {record['n_variants']} |",
        f"| importance-weighted bound | {record['summary']['bounds']['iwae']:,.2f} |",
        "| --remove | samples | 60 | 1 |",
        "cohort.vcf.gz",
        "most similar reference population",
    ):
        assert said in text, said
    other = typed("card", "model.genovi").stdout
    assert other.split("## Panel")[1].split("## Use")[0] == text.split("## Panel")[1].split("## Use")[0]
    assert "PERSON" not in text


@pytest.mark.parametrize(("contigs", "shown", "more"), [(22, 22, 0), (75, 30, 45)])
def test_a_card_lists_chromosomes_whole(here: Path, contigs: int, shown: int, more: int) -> None:
    lines = gzip.decompress(members_of()[VARIANTS]).decode().splitlines()
    column = lines[0].split("\t").index("CHROM")
    for i, line in enumerate(lines[1:]):
        cells = line.split("\t")
        cells[column] = f"contig{i % contigs + 1}"
        lines[i + 1] = "\t".join(cells)
    table = gzip.compress(("\n".join(lines) + "\n").encode())
    (here / "wide.genovi").write_bytes(pack(members_of() | {VARIANTS: table}))
    row = next(line for line in typed("card", "wide.genovi").stdout.splitlines() if line.startswith("| chromosomes"))
    assert row.count("contig") == shown
    assert f"contig{shown} (" in row
    assert row.endswith(f", and {more} more |" if more else ") |")
    assert "..." not in row


def test_a_card_gives_the_format_version_of_the_file(here: Path) -> None:
    assert f"| format version | {FORMAT_VERSION} |" in typed("card", "model.genovi").stdout
    (here / "old.genovi").write_bytes(with_manifest(lambda m: m.update(format_version=FORMAT_VERSION - 1)))
    assert f"| format version | {FORMAT_VERSION - 1} |" in typed("card", "old.genovi").stdout


def test_with_labels_it_counts_populations_and_names_nobody() -> None:
    result = typed("card", "run", "--labels", "panel.tsv", "--out", "CARD.md")
    assert result.exit_code == 0, result.output
    text = Path("CARD.md").read_text()
    assert "| pop2 | 20 |" in text
    assert "| pop1 | 19 |" in text
    assert "PERSON" not in text
    assert typed("card", "whole.genovi", "--labels", "panel.tsv").stdout.count("| pop2 | 20 |") == 1


def test_what_a_stranger_wrote_is_text_and_not_markup(here: Path) -> None:
    evil = "<script>alert(1)</script> [x](javascript:y) | ![z](http://q) `\x1b[31m\n# Heading"

    def change(record: dict[str, Any]) -> None:
        record["summary"]["provenance"] |= {"command": evil, "inputs": {evil: evil}, "finished": [evil]}
        record["summary"]["qc"]["steps"] = [{"name": evil, "removed": {"a": evil}}, "no step", None]
        record["summary"]["bounds"] = {"iwae": evil, "elbo": True, "on": evil}

    (here / "evil.genovi").write_bytes(with_manifest(change))
    result = typed("card", "evil.genovi")
    assert result.exit_code == 0, result.output
    text = result.stdout
    for mark in ("<script", "\x1b", "\n# Heading", "[x](", "![z]"):
        assert mark not in text
    assert "| importance-weighted bound | not recorded |" in text
    assert len([line for line in text.splitlines() if line.startswith("# ")]) == 1


def test_a_summary_of_nothing_makes_a_card_and_an_embedding(here: Path) -> None:
    (here / "bare.genovi").write_bytes(with_manifest(lambda m: m.update(summary={"misfit": {"q99": "high"}, "qc": 3})))
    text = typed("card", "bare.genovi").stdout
    assert "Quality control was not recorded." in text
    assert typed("embed", "bare.genovi", "new.vcf.gz", "--out", "out").exit_code == 0
    assert typed("export", "bare.genovi", "--out", "again.genovi").exit_code == 0
