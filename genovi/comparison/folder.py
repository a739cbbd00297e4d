"""The folder of a benchmark: ``benchmark.json`` says what its fits have in common, so that they are never mixed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from genovi.errors import ConfigError, DataError
from genovi.files import atomic_path, resource_error

MANIFEST = "benchmark.json"
FORMAT_VERSION = 1
_KIND = "genovi benchmark"
_WRITTEN = (
    MANIFEST, "cells", "data", "table.tsv", "table.md", "table.json", "embeddings.png", "embeddings.pdf", "genovi.log",
)  # fmt: skip
_START_ANEW = "type the options of that benchmark, choose another --out, or --force to start anew"


@dataclass(frozen=True)
class Manifest:
    """What the fits of a folder have in common.

    Attributes:
        identity: Data and settings, JSON-ready; see ``BenchmarkConfig.identity``.
        genovi: Version that the fits are made with.
    """

    identity: Mapping[str, Any]
    genovi: str


def check(out: Path, manifest: Manifest, force: bool) -> None:
    """Whether a benchmark may be written to ``out``, or go on there; changes nothing.

    Args:
        out: The folder.
        manifest: Of this benchmark.
        force: An earlier benchmark that is there may be removed.

    Raises:
        ConfigError: ``out`` holds another benchmark, or is no folder of one.
        DataError: its ``benchmark.json`` is damaged.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError("output is not a folder", where=out, fix="choose another --out")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not (out / MANIFEST).is_file():
        raise ConfigError(
            "output is a folder that holds no benchmark", where=out, why="nothing in it is touched",
            fix="choose another --out",
        )  # fmt: skip
    there = read_manifest(out)
    if not force:
        _compare(there, manifest, out)


def claim(out: Path, manifest: Manifest, force: bool) -> None:
    """Make ``out``, which ``check`` has passed, the folder of this benchmark.

    Args:
        out: The folder.
        manifest: Of this benchmark.
        force: Remove an earlier benchmark that is there.

    Raises:
        ResourceError: it cannot be written.
    """
    if force and (out / MANIFEST).is_file():
        _clear(out)
    record = {"kind": _KIND, "format_version": FORMAT_VERSION, **asdict(manifest)}
    with atomic_path(out / MANIFEST) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read_manifest(out: Path) -> Manifest:
    """The manifest of a benchmark's folder.

    Raises:
        DataError: it is damaged, or of a newer format.
    """
    path = out / MANIFEST
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        kind, version = record["kind"], int(record["format_version"])
        found = Manifest(dict(record["identity"]), str(record["genovi"]))
    except (OSError, ValueError, TypeError, KeyError):
        raise DataError("not the record of a benchmark", where=path, fix="choose another --out") from None
    if kind != _KIND or version > FORMAT_VERSION:
        raise DataError(
            f"{kind} of format version {version}, this genovi reads {_KIND} up to {FORMAT_VERSION}", where=path,
            fix="choose another --out",
        )  # fmt: skip
    return found


def _compare(there: Manifest, here: Manifest, out: Path) -> None:
    old, new = (_flat(json.loads(json.dumps(asdict(one)))) for one in (there, here))
    names = [name for name in {**new, **old} if old.get(name) != new.get(name)]
    if names:
        said = [f"{name} {_short(old.get(name))} there, {_short(new.get(name))} here" for name in names[:3]]
        raise ConfigError(
            "the folder holds another benchmark",
            where=out,
            why="; ".join(said) + ("; ..." if len(names) > 3 else ""),
            fix=_START_ANEW,
        )


def _flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under names such as "qc.maf"."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[(prefix + name).removeprefix("identity.")] = value
    return flat


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:12]}..."


def _clear(out: Path) -> None:
    """Remove what a benchmark writes, and nothing else."""
    try:
        for name in _WRITTEN:
            path = out / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise resource_error(error, out) from error
