"""Standard input and other pipes."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import assert_same, matrix_of, needs, run_tool, write_vcf

from genovi.errors import ConfigError, DataError, ResourceError
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.reading import open_genotypes


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, which must be left empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


@pytest.fixture
def matrix() -> GenotypeMatrix:
    return matrix_of(np.random.default_rng(3).integers(-1, 3, size=(20, 6)).astype(np.int8))


def pipe_in(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


@pytest.mark.parametrize("compress", [None, "gzip", "bgzf"])
def test_vcf_from_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, matrix: GenotypeMatrix, compress: str | None
) -> None:
    pipe_in(monkeypatch, write_vcf(tmp_path / "a.vcf", matrix, compress).read_bytes())
    read = open_genotypes([Path("-")])
    assert_same(read, matrix)
    assert read.source == "standard input"


def test_bcf_from_standard_input_beside_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, matrix: GenotypeMatrix
) -> None:
    vcf = write_vcf(tmp_path / "a.vcf", matrix)
    run_tool(needs("bcftools"), "view", "-Ou", "-o", tmp_path / "a.bcf", vcf)
    pipe_in(monkeypatch, (tmp_path / "a.bcf").read_bytes())
    read = open_genotypes([vcf, Path("-")])
    np.testing.assert_array_equal(read.dosages(), np.concatenate([matrix.dosages()] * 2))


def test_a_pipe_that_the_shell_opened(tmp_path: Path, matrix: GenotypeMatrix) -> None:
    content = write_vcf(tmp_path / "a.vcf", matrix, "bgzf").read_bytes()
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as stream:
        stream.write(content)  # less than a pipe holds
    path = Path(f"/dev/fd/{reading}")
    try:
        read = open_genotypes([path])
    finally:
        os.close(reading)
    assert_same(read, matrix)
    assert read.source == str(path)


def test_a_pipe_without_a_writer_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="not a regular file"):
        open_genotypes([tmp_path / "pipe"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"empty file \(standard input\)"),
        (b"a\tb\n", r"not a VCF.* \(standard input\)"),
        (b"##fileformat=VCFv4.2\n1\t2\n", r"standard input, line 2"),
        (b"\x1f\x8b\x08\x00", r"truncated file.*standard input"),
    ],
)
def test_errors_name_the_pipe(monkeypatch: pytest.MonkeyPatch, temporary: Path, content: bytes, message: str) -> None:
    pipe_in(monkeypatch, content)
    with pytest.raises(DataError, match=message) as caught:
        open_genotypes([Path("-")])
    assert str(temporary) not in str(caught.value)


def test_a_terminal_is_no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(ConfigError, match=r"terminal .*bcftools view FILE \| genovi info -"):
        open_genotypes([Path("-")])
    with pytest.raises(ConfigError, match="given twice"):
        open_genotypes([Path("-"), Path("-")])


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(size: int) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False, buffer=SimpleNamespace(read=read)))
    with pytest.raises(ResourceError, match=r"standard input .*No space left on device.*TMPDIR"):
        open_genotypes([Path("-")])
