"""A trained model as one file to share, without names of samples and of machines unless they are asked for.

The file holds what ``genovi embed`` needs: model.json, model.safetensors, variants.tsv.gz (see ``genovi.modelfiles``).
Of the provenance, host and folders are left out: they say nothing about the model and something about people.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genovi.errors import DataError
from genovi.files import check_writable
from genovi.manifest import read_manifest, recorded_at
from genovi.modelfiles import EMBEDDING, MANIFEST, NEEDED, has_member, read_member, write_archive
from genovi.trained import TrainedModel


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        path: The file.
        size: Its bytes.
        n_samples: Samples that the model was trained on.
        n_variants: Its variants.
        named: Whether the embedding, which names the samples, is in it.
    """

    path: Path
    size: int
    n_samples: int
    n_variants: int
    named: bool

    def lines(self) -> list[str]:
        """For people to read."""
        held = "with their embedding, which names them" if self.named else "none of whom it names"
        return [
            f"wrote {self.path}: {self.size / 2**20:.1f} MiB, {self.n_variants} variants, "
            f"trained on {self.n_samples} samples, {held}"
        ]


def export_model(run: Path, out: Path, *, keep_embedding: bool = False, force: bool = False) -> Export:
    """Write the model of a run as one file.

    Args:
        run: Folder that genovi train wrote, or another export.
        out: The file.
        keep_embedding: Also put in the embedding of the training samples, with their names.
        force: Overwrite ``out``.

    Raises:
        ConfigError: ``out`` exists.
        DataError: the model is damaged, or has no embedding to keep.
        ResourceError: ``out`` cannot be written.
    """
    check_writable(out, force)
    trained = TrainedModel.load(run)  # what cannot be read is not passed on
    if keep_embedding and not has_member(run, EMBEDDING):
        raise DataError("there is no embedding to keep", where=run, fix="leave --keep-embedding out")
    manifest = read_manifest(run)
    manifest = replace(manifest, summary=_without_places(manifest.summary))
    members = {name: read_member(run, name) for name in (*NEEDED, *((EMBEDDING,) if keep_embedding else ()))}
    members[MANIFEST] = manifest.to_json().encode()
    write_archive(out, members)
    return Export(out, out.stat().st_size, manifest.n_samples, len(trained.standardiser.variants), keep_embedding)


def _without_places(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary whose provenance names no host and no folder."""
    provenance = recorded_at(summary, "provenance")
    if not isinstance(provenance, dict):
        return summary
    kept = {key: value for key, value in provenance.items() if key != "host"}
    if "command" in kept:
        kept["command"] = _without_folders(str(kept["command"]))
    return {**summary, "provenance": kept}


def _without_folders(command: str) -> str:
    """A command line whose paths are reduced to the names of files."""
    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    return shlex.join(word.rstrip("/").rpartition("/")[2] if "/" in word else word for word in words)
