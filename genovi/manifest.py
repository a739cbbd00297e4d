"""The manifest of a trained model, ``model.json``: read without torch by whoever only wants to know about a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from genovi.errors import DataError

FORMAT_VERSION = 1


def read_manifest(folder: Path) -> dict[str, Any]:
    """What ``model.json`` of a model folder holds.

    Raises:
        DataError: there is none, it is damaged, or of a newer format.
    """
    path = folder / "model.json"
    if not path.is_file():
        raise DataError(
            "not a genovi model", where=folder, why="there is no model.json in it", fix="give the folder of --out"
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError("damaged model", where=path, why=str(error), fix="copy or train it again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != "genovi model":
        raise DataError("not a genovi model", where=path, fix="give the folder that genovi train wrote")
    version = manifest.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise DataError(
            f"model has format version {version}, this genovi reads up to {FORMAT_VERSION}",
            where=path,
            fix="install a newer genovi",
        )
    return manifest
