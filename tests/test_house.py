"""The house rules of CONTRIBUTING.md, held by reading the source."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import chain as chain_lists
from pathlib import Path

import pytest
from helpers import REPO

FLOORS = {
    "errors": 0,
    "seeding": 1,
    "provenance": 1,
    "files": 1,
    "tables": 1,
    "releases": 1,
    "machine": 1,
    "ranks": 1,
    "genotypes": 2,
    "labels": 2,
    "modelfiles": 2,
    "slurm": 2,
    "downloads": 2,
    "structure": 3,
    "fst": 3,
    "fetching": 3,
    "embedding": 3,
    "manifest": 3,
    "model": 3,
    "procrustes": 4,
    "trained": 4,
    "bounds": 4,
    "scores": 4,
    "reference": 4,
    "populations": 4,
    "likeness": 4,
    "preparing": 4,
    "training": 5,
    "encoding": 5,
    "baselines": 5,
    "clustering": 5,
    "evaluation": 5,
    "calibration": 5,
    "populationfile": 5,
    "resampling": 5,
    "plotting": 5,
    "ensemble": 5,
    "card": 5,
    "exporting": 5,
    "placing": 6,
    "summaries": 6,
    "progress": 6,
    "report": 6,
    "portraits": 7,
    "pipeline": 7,
    "applying": 7,
    "measuring": 7,
    "classifying": 7,
    "simulating": 7,
    "comparison": 7,
    "api": 8,
    "cli": 8,
    "__main__": 8,  # `python -m genovi` is the command line
    "__init__": 8,  # resolves public names of every room when they are asked for
}
ROOMS_OF_MODEL = {"model", "errors", "seeding"}

MODULES = sorted(p for top in ("genovi", "cli") for p in (REPO / top).rglob("*.py"))
LIBRARY = [path for path in MODULES if path.is_relative_to(REPO / "genovi")]
MOST_LINES = 400
MOST_LINES_OF_FUNCTION = 60  # without its signature, which holds the options of a command, and its docstring

# extras of the library itself, and distributions whose module is called otherwise
FORMATS = ("pgen", "anndata", "zarr")
NAMES = {"sklearn": "scikit-learn", "allel": "scikit-allel", "umap": "umap-learn"}
HEAVY = (
    "torch", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "umap", "numba", "allel", "cyvcf2", "bed_reader",
    "pgenlib", "zarr", "zstandard", "bokeh",
)  # fmt: skip
WITHOUT_TORCH = (
    "errors",
    "seeding",
    "provenance",
    "files",
    "ranks",
    "machine",
    "tables",
    "genotypes",
    "labels",
    "modelfiles",
    "slurm",
    "manifest",
    "procrustes",
    "ensemble",
    "card",
    "fst",
    "embedding",
    "scores",
    "reference",
    "likeness",
    "preparing",
    "evaluation",
    "plotting",
    "resampling",
    "report",
    "populations",
    "populationfile",
    "calibration",
    "clustering",
)

GENERATOR_TYPES = {"Generator", "default_rng", "SeedSequence", "BitGenerator", "PCG64", "Philox"}
TORCH_DRAWS = {"rand", "randn", "randint", "randperm", "bernoulli", "multinomial", "normal", "poisson"}
TORCH_GLOBALS = {"manual_seed", "seed", "set_rng_state", "manual_seed_all"}


def dotted(path: Path) -> str:
    """Import name of a module: genovi.model.vae, genovi_cli.app."""
    parts = list(path.relative_to(REPO).with_suffix("").parts)
    if parts[0] == "cli":
        parts[0] = "genovi_cli"
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def room_of(module: str) -> str:
    top, *rest = module.split(".")
    if top == "genovi_cli":
        return "cli"
    return rest[0] if rest else "__init__"


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every import in the file, wherever it stands: (line, dotted name)."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write it out"
            if node.module == "genovi":  # from genovi import model
                yield from ((node.lineno, f"genovi.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module or ""


def chain(node: ast.AST) -> list[str]:
    """["np", "random", "seed"] for the expression np.random.seed, [] for anything else."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        inner = chain(node.value)
        return [*inner, node.attr] if inner else []
    return []


def floor_faults(path: Path) -> Iterator[str]:
    room = room_of(dotted(path))
    for line, name in imports(path):
        if name.split(".")[0] not in ("genovi", "genovi_cli"):
            continue
        target = room_of(name)
        if target == "__version__" or target == room:
            continue
        where = f"{path.relative_to(REPO)}:{line}: {room} imports {target}"
        if target not in FLOORS:
            yield f"{where}, which has no floor"
        elif FLOORS[target] >= FLOORS[room] and room not in ("__main__", "__init__"):
            yield f"{where}, which is not below it"
        elif room == "model" and target not in ROOMS_OF_MODEL:
            yield f"{where}: the model knows tensors only"


def test_every_room_has_a_floor() -> None:
    assert not {room_of(dotted(path)) for path in MODULES} - set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_point_down(path: Path) -> None:
    assert not list(floor_faults(path))


@pytest.mark.parametrize(("source", "fault"), [("genovi.plotting", 1), ("genovi.errors", 0), ("genovi.baselines", 1)])
def test_floor_check_sees_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, fault: int) -> None:
    monkeypatch.setitem(globals(), "REPO", tmp_path)
    path = tmp_path / "genovi" / "evaluation.py"
    path.parent.mkdir()
    path.write_text(f"def f():\n    from {source} import x\n")
    assert len(list(floor_faults(path))) == fault


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_sizes(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node) is not None
            docstring = node.body[0].end_lineno - node.body[0].lineno + 1 if documented else 0
            assert node.end_lineno - node.body[0].lineno + 1 - docstring <= MOST_LINES_OF_FUNCTION, node.name


@pytest.mark.parametrize("path", LIBRARY, ids=dotted)
def test_public_things_are_documented(path: Path) -> None:
    # A property's name may be enough, and a method that fills in its base class is documented there.
    tree = parse(path)
    if tree.body:
        assert ast.get_docstring(tree), "no module docstring"
    definitions = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    public = [node for node in tree.body if isinstance(node, definitions) and not node.name.startswith("_")]
    for node in list(public):
        if isinstance(node, ast.ClassDef) and not node.bases:
            members = [m for m in node.body if isinstance(m, definitions) and not m.name.startswith("_")]
            public += [m for m in members if not any("property" in chain(d) for d in m.decorator_list)]
    assert not [f"{node.name}, line {node.lineno}" for node in public if not ast.get_docstring(node)]


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_global_generators_are_never_used(path: Path) -> None:
    faults = [f"line {line}: import {name}" for line, name in imports(path) if name == "random"]
    for node in ast.walk(parse(path)):
        name = chain(node)
        if name[:-1] in (["np", "random"], ["numpy", "random"]) and name[-1] not in GENERATOR_TYPES:
            faults.append(f"line {node.lineno}: {'.'.join(name)}")
        if name[:1] == ["torch"] and name[-1] in TORCH_GLOBALS:
            faults.append(f"line {node.lineno}: {'.'.join(name)}")
        if isinstance(node, ast.Call):
            function = chain(node.func)
            draws = len(function) == 2 and function[0] == "torch" and function[1] in TORCH_DRAWS
            if draws and "generator" not in {keyword.arg for keyword in node.keywords}:
                faults.append(f"line {node.lineno}: {'.'.join(function)} without generator=")
    assert not faults


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    declared = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [declared["optional-dependencies"][name] for name in FORMATS]
    names = {re.split("[^a-z0-9-]", entry.lower())[0] for entry in chain_lists(declared["dependencies"], *extras)}
    tops = {name.split(".")[0] for path in MODULES for _, name in imports(path)}
    foreign = tops - sys.stdlib_module_names - {"genovi", "genovi_cli", "genovi_demo"}
    assert {NAMES.get(name, name) for name in foreign} == names


def test_msprime_is_for_tests_and_demo_data_only() -> None:
    # It is under the GPL, the library is not.
    users = [dotted(path) for path in MODULES for _, name in imports(path) if name.split(".")[0] == "msprime"]
    assert not users


def test_library_never_prints() -> None:
    calls = [
        f"{dotted(path)}, line {node.lineno}"
        for path in LIBRARY
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and chain(node.func) == ["print"]
    ]
    assert not calls


def loaded_by(*modules: str) -> set[str]:
    """Top-level names of everything that importing ``modules`` in a fresh interpreter loads."""
    code = f"import sys\nimport {', '.join(modules)}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_importing_genovi_loads_nothing_heavy() -> None:
    assert not loaded_by("genovi") & set(HEAVY)


def test_old_embeddings_are_judged_and_plotted_without_torch() -> None:
    modules = [dotted(path) for path in LIBRARY if room_of(dotted(path)) in WITHOUT_TORCH]
    assert {"genovi.labels", "genovi.embedding"} <= set(modules)
    assert "torch" not in loaded_by(*modules)


def test_public_names_resolve() -> None:
    import genovi

    assert genovi.__all__
    assert all(getattr(genovi, name) is not None for name in genovi.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = genovi.no_such_name


def test_no_merge_was_left_half_done() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=REPO, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    marks = ("<" * 7 + " ", ">" * 7 + " ")
    for name in listed.stdout.splitlines():
        content = (REPO / name).read_bytes() if (REPO / name).is_file() else b""
        assert not [line for line in content.splitlines() if line.startswith(tuple(m.encode() for m in marks))], name
