"""The files of a trained model, in the folder of a run or in one file, read without trusting them.

A model in one file (``genovi export``) is a zip archive without compression that holds these members and no others:

    model.json  model.safetensors  variants.tsv.gz  [embedding.tsv]

It is read in memory, member by member: nothing is ever extracted, so names of members lead nowhere, and because nothing
is compressed nothing can grow. Members of other names, names that come twice, encryption, compression and sizes that
contradict each other are refused.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from genovi.errors import DataError
from genovi.files import atomic_path

MANIFEST, WEIGHTS, VARIANTS, EMBEDDING = "model.json", "model.safetensors", "variants.tsv.gz", "embedding.tsv"
NEEDED = (MANIFEST, WEIGHTS, VARIANTS)
MOST_GROWTH = 1024  # bytes of a row of variants, on average: some hundred are in use, see ``inflate``
_FIX = "give the folder that genovi train wrote, or the file of genovi export"
_ZIP = b"PK"
_WHEN = (1980, 1, 1, 0, 0, 0)  # archives of the same model are the same bytes


def damaged(where: object, why: str) -> DataError:
    """A model that is not as genovi wrote it."""
    # what a stranger's file says goes to a terminal: no control characters
    clean = "".join(c if c.isprintable() else "?" for c in why)[:200]
    return DataError("damaged model", where=where, why=clean or "no detail", fix="copy or train it again")


def has_member(place: Path, name: str) -> bool:
    """Whether the model at ``place`` comes with the file ``name``.

    Raises:
        DataError: ``place`` is a file that is no model.
    """
    if place.is_dir():
        return (place / name).is_file()
    with _archive(place) as archive:
        return name in archive.namelist()


def read_member(place: Path, name: str, most: int | None = None) -> bytes:
    """One file of the model at ``place``, a folder or an archive.

    Args:
        place: Folder of a run, or file of ``genovi export``.
        name: One of the names above.
        most: Largest size; None for any, for what is read is in memory once and no more.

    Raises:
        DataError: there is no model, or it is damaged.
    """
    if not place.is_dir():
        return _from_archive(place, name, most)
    path = place / name
    if not path.is_file():
        if name == MANIFEST or not (place / MANIFEST).is_file():
            raise DataError("not a genovi model", where=place, why=f"there is no {MANIFEST} in it", fix=_FIX)
        raise damaged(place, f"there is no {name} in it")
    try:
        if most is not None and path.stat().st_size > most:
            raise damaged(path, f"it is larger than {most:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise DataError("cannot read", where=path, why=error.strerror, fix="check the permissions") from error


def write_archive(path: Path, members: Mapping[str, bytes]) -> None:
    """Write members as one file, the manifest first.

    Raises:
        ResourceError: it cannot be written.
    """
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name in (MANIFEST, WEIGHTS, VARIANTS, EMBEDDING):
            if name in members:
                entry = zipfile.ZipInfo(name, _WHEN)
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, members[name])


def inflate(content: bytes, rows: int, where: object) -> bytes:
    """The text of ``variants.tsv.gz``, which may not be longer than ``rows`` rows and a header ever are.

    Raises:
        DataError: it is, or it is no gzip.
    """
    most = MOST_GROWTH * (rows + 1)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            text = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(where, f"{VARIANTS}: {error}") from error
    if len(text) > most:
        raise damaged(where, f"{VARIANTS} is longer than {rows:,} variants can be")
    return text


def _archive(place: Path) -> zipfile.ZipFile:
    """The archive, looked over but not read."""
    if not place.is_file():
        raise DataError("not a genovi model", where=place, why="there is nothing of that name", fix=_FIX)
    try:
        with open(place, "rb") as file:
            if file.read(2) != _ZIP:
                raise DataError("not a genovi model", where=place, why="it is no archive of genovi export", fix=_FIX)
        archive = zipfile.ZipFile(place)
    except OSError as error:
        raise DataError("cannot read", where=place, why=error.strerror, fix="check the permissions") from error
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, LookupError) as error:
        raise damaged(place, str(error)) from error
    try:
        _look_over(archive, place)
    except DataError:
        archive.close()
        raise
    return archive


def _look_over(archive: zipfile.ZipFile, place: Path) -> None:
    """Refuse what ``write_archive`` never makes."""
    names = archive.namelist()
    foreign = [name for name in names if name not in (*NEEDED, EMBEDDING)]
    if foreign:
        raise damaged(place, f"it holds {foreign[0]!r}, which is no part of a model")
    if len(set(names)) != len(names):
        raise damaged(place, "it holds a member twice")
    absent = [name for name in NEEDED if name not in names]
    if absent:
        raise damaged(place, f"there is no {absent[0]} in it")
    for entry in archive.infolist():
        if entry.flag_bits & 0x1 or entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise damaged(place, f"{entry.filename} is compressed or encrypted, which genovi export never does")


def _from_archive(place: Path, name: str, most: int | None) -> bytes:
    with _archive(place) as archive:
        if name not in archive.namelist():
            raise damaged(place, f"there is no {name} in it")
        entry = archive.getinfo(name)
        if most is not None and entry.file_size > most:
            raise damaged(place, f"{name} is larger than {most:,} bytes")
        try:
            with archive.open(entry) as file:
                content = file.read(entry.file_size)
                file.read(1)  # at the end the checksum is compared
        except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OSError, RuntimeError) as error:
            raise damaged(place, f"{name}: {error}") from error
    if len(content) != entry.file_size:
        raise damaged(place, f"{name} is cut off")
    return content
