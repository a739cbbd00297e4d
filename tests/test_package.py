"""The wheel: holds what it must and no more, and works away from the checkout."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from helpers import REPO

PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
DEMO_SUFFIXES = (".vcf.gz", ".vcf.gz.tbi", ".panel", "README.md")


def run(command: list[str | Path], folder: Path, seconds: int = 600) -> subprocess.CompletedProcess[str]:
    """Run ``command`` in ``folder``, out of reach of this checkout and its environment variables."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**environment, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def pip(*arguments: str | Path, python: Path = Path(sys.executable), folder: Path) -> None:
    result = run([python, "-m", "pip", "--disable-pip-version-check", *arguments], folder)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(REPO / name, folder)
    for name in ("genovi", "cli", "data"):
        shutil.copytree(REPO / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", "dist", ".", folder=folder)
    (path,) = (folder / "dist").iterdir()
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``bin`` of an environment that holds the wheel and borrows the dependencies of the one that runs the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    packages = Path(
        run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).stdout.strip()
    )
    # A folder named in a .pth is searched, but its own .pth files, the editable checkout among them, are not read.
    (packages / "borrowed.pth").write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    pip("--python", python, "install", "--no-deps", "--no-index", wheel, folder=folder)
    return folder / "bin"


def test_wheel_holds_every_module_and_the_demo_data(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {"genovi/py.typed"}
    for folder, package in (("genovi", "genovi"), ("cli", "genovi_cli")):
        modules = (REPO / folder).rglob("*.py")
        expected |= {f"{package}/{path.relative_to(REPO / folder).as_posix()}" for path in modules}
    expected |= {f"genovi/report/assets/{path.name}" for path in (REPO / "genovi/report/assets").iterdir()}
    demo = {f"genovi_demo/{path.name}" for path in (REPO / "data").iterdir() if path.name.endswith(DEMO_SUFFIXES)}
    assert names == expected | demo
    for suffix in DEMO_SUFFIXES:
        assert any(name.endswith(suffix) for name in demo), suffix


def test_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        metadata = archive.read(path).decode()
        assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())
    assert "Name: genovi-popgen" in metadata
    assert "License-Expression: MIT" in metadata
    assert "msprime" not in metadata.replace('msprime>=1.3; extra == "test"', "")


def test_constraints_pin_every_dependency() -> None:
    lines = (REPO / "constraints.txt").read_text().splitlines()
    pins = [line.partition("==") for line in lines if not line.startswith("#")]
    assert all(operator and version for _, operator, version in pins)
    pinned = {name.lower().replace("_", "-") for name, _, _ in pins}
    wanted = PROJECT["dependencies"] + [name for extra in PROJECT["optional-dependencies"].values() for name in extra]
    assert {line.partition(">=")[0] for line in wanted} <= pinned
    assert "torch==2.13.0" in lines


def test_command_and_packages_come_from_the_wheel(environment: Path, tmp_path: Path) -> None:
    code = "import genovi, genovi_cli, genovi_demo as d; print([genovi.__file__, genovi_cli.__file__, *d.__path__])"
    result = run([environment / "python", "-c", code], tmp_path)
    assert result.returncode == 0, result.stderr
    assert all(path.startswith(str(environment.parent)) for path in ast.literal_eval(result.stdout))
    result = run([environment / "genovi", "--version"], tmp_path)
    assert result.returncode == 0, result.stderr
    assert PROJECT["version"] in result.stdout


def check_demo(command: Path, folder: Path, *options: str) -> None:
    """``genovi demo`` ends well and leaves its picture and its embeddings."""
    result = run([command, "demo", "--out", "demo-out", *options], folder)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    pictures = list((folder / "demo-out").rglob("*.png"))
    assert pictures
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    for path in (folder / "demo-out").rglob("*embedding.tsv"):
        header = path.read_text().splitlines()[0].split("\t")
        assert header == ["IID", "Z1", "Z2", "SD1", "SD2", "CLUSTER", "CLUSTER_PROB", "MISSING", "MISFIT"]
    assert len(list((folder / "demo-out").rglob("*embedding.tsv"))) >= 2  # of training, and of new samples
    assert str(pictures[0].name) in result.stdout


def test_demo_runs_away_from_the_checkout(environment: Path, tmp_path: Path) -> None:
    check_demo(environment / "genovi", tmp_path, "--epochs", "2")


def test_this_environment_finds_the_demo_data(tmp_path: Path) -> None:
    # Editable installs reach namespace packages by another way than wheels do.
    code = "import genovi_demo as d, pathlib as p; print([f.name for a in d.__path__ for f in p.Path(a).glob('*')])"
    result = run([sys.executable, "-c", code], tmp_path)
    assert result.returncode == 0, result.stderr
    assert "demo.panel" in ast.literal_eval(result.stdout)


@pytest.mark.verification
def test_wheel_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True, symlinks=True)
    python = tmp_path / "env" / "bin" / "python"
    constraints = ["--constraint", REPO / "constraints.txt"]
    pip("install", *constraints, "torch==2.13.0", python=python, folder=tmp_path)
    pip("install", *constraints, wheel, python=python, folder=tmp_path)
    pip("check", python=python, folder=tmp_path)
    check_demo(python.parent / "genovi", tmp_path, "--epochs", "20")
