"""Manifest: what ``model.json`` says, checked against a schema before anything is made of it. Never loads torch.

    format, format_version      what the file is
    model                       settings of ModelConfig
    n_axes, n_samples, n_variants, noise, noise_scale, seed, build
    summary                     quality control, bounds, provenance: for people; not checked, see ``number_at``

Files of older format versions are brought up to the present one, version by version, by ``MIGRATIONS``; those of newer
ones are refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genovi.errors import DataError
from genovi.modelfiles import MANIFEST, damaged, read_member

FORMAT = "genovi model"
FORMAT_VERSION = 3
MOST_BYTES = 16 * 2**20
_MOST = 2**63 - 1


def _with_likelihood(record: dict[str, Any]) -> dict[str, Any]:
    """Version 1 knew models of principal components alone."""
    return {**record, "model": {**record["model"], "likelihood": "gaussian"}}


def _without_classes(record: dict[str, Any]) -> dict[str, Any]:
    """Version 2 had no table of classes: what it said of them goes, the map stays."""
    return {**record, "model": {**record["model"], "classes": 0}}


# from version v to v + 1, by v: takes the record and returns it changed
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _with_likelihood, 2: _without_classes}

_COUNT, _NUMBER, _TEXT = "a whole number", "a positive number", "text"
_SCHEMA: dict[str, dict[str, str]] = {
    "": {
        "n_axes": _COUNT, "n_samples": _COUNT, "n_variants": _COUNT, "noise_scale": _NUMBER, "seed": "an integer",
        "build": _TEXT,
    },
    "model": {
        "latent_dim": _COUNT, "posterior": _TEXT, "prior": _TEXT, "steps": _COUNT, "components": _COUNT,
        "hidden": _COUNT, "likelihood": _TEXT, "classes": _COUNT,
    },
    "noise": {"variance": _NUMBER, "edge": _NUMBER, "effective_variants": _NUMBER, "significant": _COUNT},
}  # fmt: skip


@dataclass(frozen=True)
class Manifest:
    """What ``model.json`` says.

    Attributes:
        model: Settings of ``ModelConfig``, of the right types.
        n_axes: Principal components that the model sees.
        n_samples: Samples that it was trained on.
        n_variants: Its variants.
        noise: Fields of ``NoiseFloor``.
        noise_scale: Unit of the components.
        seed: Root seed.
        build: Genome build.
        summary: Everything else; its contents are not checked.
        format_version: That of the file it was read from; what is written has the present one.
    """

    model: dict[str, Any]
    n_axes: int
    n_samples: int
    n_variants: int
    noise: dict[str, Any]
    noise_scale: float
    seed: int
    build: str
    summary: dict[str, Any]
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """The text of ``model.json``."""
        record = {"format": FORMAT, **vars(self), "format_version": FORMAT_VERSION}
        return json.dumps(record, indent=1, allow_nan=False) + "\n"


def recorded_at(summary: Any, *path: str) -> Any:
    """What a summary has at ``path``, such as ("bounds", "iwae"); None where it has nothing there."""
    found = summary
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def number_at(summary: Any, *path: str) -> float | None:
    """The same where it is a finite number, else None."""
    found = recorded_at(summary, *path)
    return float(found) if _is_finite(found) else None


def read_manifest(place: Path) -> Manifest:
    """The manifest of the model at ``place``, a folder or a file of ``genovi export``.

    Raises:
        DataError: there is none, it is damaged, or its format is newer than this genovi.
    """
    content = read_member(place, MANIFEST, MOST_BYTES)
    where = place / MANIFEST if place.is_dir() else place
    try:
        record = json.loads(content.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise damaged(where, f"{MANIFEST}: {error}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise DataError("not a genovi model", where=where, fix="give the folder that genovi train wrote")
    record = _migrated(record, where)
    _check(record, where)
    fields = Manifest.__dataclass_fields__
    return Manifest(**{name: record[name] for name in fields})


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _migrated(record: dict[str, Any], where: Path) -> dict[str, Any]:
    version = record.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise damaged(where, f"format_version is {_shown(version)}")
    if version > FORMAT_VERSION:
        raise DataError(
            f"model has format version {_shown(version)}, this genovi reads up to {FORMAT_VERSION}",
            where=where,
            fix="install a newer genovi",
        )
    for step in range(version, FORMAT_VERSION):
        try:
            record = MIGRATIONS[step](record)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise damaged(where, f"it cannot be brought to format version {step + 1}: {error}") from error
    return record


def _check(record: dict[str, Any], where: Path) -> None:
    for part, entries in _SCHEMA.items():
        values = record.get(part) if part else record
        if not isinstance(values, dict):
            raise damaged(where, f"{part} is {_shown(values)}")
        unknown = [key for key in values if key not in entries] if part else []
        if unknown:
            raise damaged(where, f"{part} has an unknown entry {_shown(unknown[0])}")
        for name, kind in entries.items():
            if not _is(kind, values.get(name)):
                shown = _shown(values.get(name)) if name in values else "not there"
                raise damaged(where, f"{f'{part}.' if part else ''}{name} is {shown}, not {kind}")
    if not isinstance(record.get("summary"), dict):
        raise damaged(where, f"summary is {_shown(record.get('summary'))}")


def _is(kind: str, value: Any) -> bool:
    if kind == _TEXT:
        return isinstance(value, str) and value.isprintable()
    if kind == _NUMBER:
        return _is_finite(value) and value > 0
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return 0 <= value <= _MOST if kind == _COUNT else abs(value) <= 2 * _MOST


def _is_finite(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 and math.isfinite(value)
    )


def _shown(value: Any) -> str:
    return repr(value)[:40]
