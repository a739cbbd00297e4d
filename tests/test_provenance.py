"""Provenance: true, JSON-ready, and never the reason why a run fails."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import genovi
from genovi.errors import DataError
from genovi.provenance import Provenance, file_digest, peak_memory_mib, version


def test_record_is_json_and_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.vcf"
    path.write_bytes(b"##fileformat")
    record = Provenance.start(seed=np.int64(5), command="genovi train a.vcf", inputs=[path]).finish().to_dict()
    assert json.loads(json.dumps(record)) == record
    assert record["seed"] == 5
    assert record["command"] == "genovi train a.vcf"
    assert record["inputs"] == {"a.vcf": hashlib.sha256(b"##fileformat").hexdigest()}
    assert record["genovi"] == metadata.version("genovi-popgen") == genovi.__version__
    assert record["packages"]["numpy"] == np.__version__
    for moment in ("started", "finished"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", record[moment])
    assert record["wall_seconds"] >= 0
    assert record["peak_memory_mib"] > 5
    assert not [key for key in record if key.startswith("_")]


def test_paths_of_the_machine_stay_out(tmp_path: Path) -> None:
    path = tmp_path / "a.vcf"
    path.touch()
    record = json.dumps(Provenance.start(command="genovi info a.vcf", inputs=[path]).to_dict())
    assert str(tmp_path) not in record
    assert os.getcwd() not in record


def test_command_line_can_be_typed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/genovi", "embed", "my run", "$x.vcf"])
    assert Provenance.start().command == "genovi embed 'my run' '$x.vcf'"


def test_inputs_of_one_name_are_all_kept(tmp_path: Path) -> None:
    paths = [tmp_path / str(k) / "data.vcf" for k in range(3)]
    for k, path in enumerate(paths):
        path.parent.mkdir()
        path.write_text(str(k))
    inputs = Provenance.start(inputs=paths).inputs
    assert list(inputs) == ["data.vcf", "data.vcf (2)", "data.vcf (3)"]
    assert list(inputs.values()) == [hashlib.sha256(str(k).encode()).hexdigest() for k in range(3)]


def test_pipes_are_not_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.vcf"
    os.mkfifo(pipe)
    assert Provenance.start(inputs=[pipe]).inputs == {"pipe.vcf": ""}


def test_absent_input_is_bad_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.vcf"):
        Provenance.start(inputs=[tmp_path / "no.vcf"])
    with pytest.raises(DataError, match=re.escape(str(tmp_path))):
        file_digest(tmp_path)


def test_uninstalled_checkout_still_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    assert version() == "unknown"
    assert Provenance.start().packages == {}


def test_peak_memory_grows_with_use_and_is_this_process_alone() -> None:
    child = "from genovi.provenance import peak_memory_mib as peak; print(peak())"
    parent = f"""if True:
        import subprocess, sys
        {child.partition(";")[0]}
        before = peak()
        big = bytearray(300 * 2**20)
        print(peak() - before, subprocess.run([sys.executable, "-c", {child!r}], capture_output=True, text=True).stdout)
    """
    result = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, check=True)
    grown, childs = map(float, result.stdout.split())
    assert 290 < grown < 400
    if sys.platform == "linux":
        assert childs < 200
    assert peak_memory_mib() > 5
