"""Reference populations as a file to keep and to share: means and covariances of populations, and nobody's own numbers.

    format, format_version, model, levels, names, groups, counts, pull, temperature, distances, trust
    mean          for each population its k numbers
    covariance    for each population the lower triangle, row by row

The file is JSON, read without trusting it.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from genovi.errors import DataError
from genovi.files import atomic_path
from genovi.populations import CURVES, GRID, Classes, Populations, Trust

FORMAT = "genovi populations"
FORMAT_VERSION = 2
_FIX = "give the .populations.json that genovi classify --reference wrote"
_MOST_BYTES = 2**30


def write_populations(populations: Populations, path: Path) -> None:
    """Write the file described above."""
    lower = np.tril_indices(populations.classes.mean.shape[1])
    record: dict[str, Any] = {"format": FORMAT, "format_version": FORMAT_VERSION}
    record |= {name: getattr(populations, name) for name in ("model", "levels", "names", "groups", "counts")}
    record |= {"pull": populations.pull, "temperature": populations.temperature}
    record["distances"] = populations.distances.tolist()
    record["trust"] = [asdict(trust) for trust in populations.trust]
    record["mean"] = populations.classes.mean.tolist()
    record["covariance"] = [each[lower].tolist() for each in populations.classes.covariance]
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(record, allow_nan=False) + "\n", encoding="utf-8")


def read_populations(path: Path) -> Populations:
    """Read a file that ``write_populations`` wrote.

    Raises:
        DataError: there is none, it is another kind of file, or it is damaged.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError("not a file of populations", where=path, why="it is too large", fix=_FIX)
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("no such file", where=path, fix=_FIX) from None
    except OSError as error:
        raise DataError("cannot read", where=path, why=error.strerror, fix="check the path and permissions") from error
    except (ValueError, RecursionError):
        raise DataError("not a file of populations", where=path, why="it is no JSON text", fix=_FIX) from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise DataError("not a file of populations", where=path, fix=_FIX)
    if record.get("format_version") != FORMAT_VERSION:
        raise DataError(
            "populations of another format version",
            where=path,
            fix="make them again with --reference and --labels, or use the genovi that wrote them",
        )
    try:
        return _parse(record)
    except (LookupError, TypeError, ValueError, OverflowError, np.linalg.LinAlgError) as error:
        why = "".join(c if c.isprintable() else "?" for c in str(error))[:100]
        raise DataError("damaged file of populations", where=path, why=why, fix=_FIX) from error


def _parse(record: dict[str, Any]) -> Populations:
    names, levels, groups = (_words(record[name]) for name in ("names", "levels", "groups"))
    n, mean = len(names), np.array(record["mean"], dtype=np.float64)
    if n < 2 or mean.ndim != 2 or len(mean) != n or not np.isfinite(mean).all():
        raise ValueError("means and names do not agree")
    if len(groups) not in (0, n) or len(levels) != (2 if groups else 1) or len(set(names)) != n:
        raise ValueError("levels, names and groups do not agree")
    lower = np.tril_indices(mean.shape[1])
    triangles = np.array(record["covariance"], dtype=np.float64)
    if triangles.shape != (n, len(lower[0])):
        raise ValueError("covariances and means do not agree")
    covariance = np.empty((n, mean.shape[1], mean.shape[1]))
    covariance[:, lower[0], lower[1]] = triangles
    covariance[:, lower[1], lower[0]] = triangles
    np.linalg.cholesky(covariance)  # raises where one is none, as it does for NaN
    distances = np.array(record["distances"], dtype=np.float64)
    if distances.ndim != 1 or len(distances) < 2 or not (np.diff(distances) >= 0).all():
        raise ValueError("distances do not ascend")
    counts = tuple(int(count) for count in record["counts"])
    if len(counts) != n or min(counts) < 1:
        raise ValueError("counts and names do not agree")
    pull, temperature = (_positive(record[name]) for name in ("pull", "temperature"))
    trust = tuple(_trust(each) for each in record["trust"])
    if tuple(each.level for each in trust) != levels:
        raise ValueError("trust is not that of the levels")
    classes = Classes(mean, covariance)
    model = str(record["model"])
    return Populations(model, levels, names, groups, counts, classes, pull, temperature, distances, trust)


def _words(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(v, str) and v and v.isprintable() for v in values):
        raise ValueError("names are no text")
    return tuple(values)


def _positive(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{value!r} is no positive number")
    return float(value)


def _trust(record: dict[str, Any]) -> Trust:
    curves = [tuple(float(value) for value in record[name]) for name in CURVES]
    for curve in curves:
        if len(curve) != GRID + 1 or not all(0 <= value <= 1 for value in curve):
            raise ValueError(f"{', '.join(CURVES)} are no curves of shares")
    accuracy, log_loss, calibration = (float(record[name]) for name in ("accuracy", "log_loss", "calibration_error"))
    if not all(math.isfinite(value) and value >= 0 for value in (accuracy, log_loss, calibration)):
        raise ValueError("trust is not in numbers")
    return Trust(str(record["level"]), int(record["n"]), accuracy, log_loss, calibration, *curves)
