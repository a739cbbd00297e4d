"""Atomic files and folders: either the whole new thing, or what was there before, and nothing beside it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genovi.errors import ConfigError, DataError, GenoviError, ResourceError
from genovi.files import atomic_folder, atomic_path, check_writable

FAILURES = [
    DataError("bad genotype"),
    OSError(errno.ENOSPC, "No space left on device"),
    KeyboardInterrupt(),
    ValueError(),
]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def genovi_folder(path: Path, **files: str) -> Path:
    path.mkdir(parents=True)
    for name, text in {"genovi.log": "old", **files}.items():
        (path / name).write_text(text)
    return path


@given(old=st.none() | st.binary(max_size=50), new=st.binary(max_size=50), fails=st.booleans())
def test_file_is_old_or_new(
    tmp_path_factory: pytest.TempPathFactory, old: bytes | None, new: bytes, fails: bool
) -> None:
    folder = tmp_path_factory.mktemp("atomic")
    path = folder / "deep" / "out.tsv"
    if old is not None:
        path.parent.mkdir()
        path.write_bytes(old)
    try:
        with atomic_path(path) as temporary:
            assert temporary.suffix == ".tsv"
            temporary.write_bytes(new)
            if fails:
                raise DataError("stop")
    except DataError:
        assert fails
    expected = old if fails else new
    assert contents(folder) == ({} if expected is None else {"deep/out.tsv": expected})


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
def test_failing_file_writer_keeps_the_old_file(tmp_path: Path, failure: BaseException) -> None:
    path = tmp_path / "out.tsv"
    path.write_text("old")
    expected = ResourceError if isinstance(failure, OSError) else type(failure)
    with pytest.raises(expected), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise failure
    assert contents(tmp_path) == {"out.tsv": b"old"}


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
def test_failing_folder_writer_keeps_the_old_folder(tmp_path: Path, failure: BaseException) -> None:
    run = genovi_folder(tmp_path / "run")
    expected = ResourceError if isinstance(failure, OSError) else type(failure)
    with pytest.raises(expected), atomic_folder(run) as temporary:
        (temporary / "model.json").write_text("half")
        raise failure
    assert contents(tmp_path) == {"run/genovi.log": b"old"}
    assert os.listdir(tmp_path) == ["run"]


def test_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    run = genovi_folder(tmp_path / "run", stale="stale")
    with atomic_folder(run) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "model.json").write_text("new")
        assert contents(run)["genovi.log"] == b"old"  # there until the new one is complete
    assert contents(tmp_path) == {"run/sub/model.json": b"new"}
    assert os.listdir(tmp_path) == ["run"]


def test_folder_comes_back_when_the_swap_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = genovi_folder(tmp_path / "run")
    replace = os.replace

    def failing(source: Path, target: Path) -> None:
        if ".tmp-" in str(source):
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(ResourceError, match="Input/output error"), atomic_folder(run) as temporary:
        (temporary / "model.json").write_text("new")
    assert contents(tmp_path) == {"run/genovi.log": b"old"}


def test_folder_behind_a_link_is_kept(tmp_path: Path) -> None:
    target = genovi_folder(tmp_path / "target")
    link = tmp_path / "run"
    link.symlink_to(target)
    with atomic_folder(link) as temporary:
        (temporary / "model.json").write_text("new")
    assert not link.is_symlink()
    assert contents(tmp_path) == {"target/genovi.log": b"old", "run/model.json": b"new"}
    assert sorted(os.listdir(tmp_path)) == ["run", "target"]


def test_folders_of_others_are_never_replaced(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("years")
    for refuse in (lambda: check_writable(home, force=True), lambda: atomic_folder(home).__enter__()):
        with pytest.raises(ConfigError, match="did not write"):
            refuse()
    assert contents(tmp_path) == {"home/thesis.tex": b"years"}
    with pytest.raises(ConfigError, match="not a file"), atomic_path(home):
        raise AssertionError("a folder was taken for a file")


def test_devices_are_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for refuse in (lambda: check_writable(pipe, force=True), lambda: atomic_path(pipe).__enter__()):
        with pytest.raises(ConfigError, match="not a file"):
            refuse()
    assert pipe.is_fifo()


def test_unwritable_places_end_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "sub" / "out.tsv"
    for attempt in (
        lambda: check_writable(path, force=False),
        lambda: atomic_path(path).__enter__(),
        lambda: atomic_folder(path).__enter__(),
    ):
        with pytest.raises(ResourceError, match=r"cannot write .*file/sub/out\.tsv: .*/file is a file, not a folder"):
            attempt()


def test_a_folder_that_takes_no_files_is_named_and_not_the_probe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: Path) -> None:
        raise OSError(errno.ENOENT, "No such file or directory", str(self))  # as /proc does

    monkeypatch.setattr(Path, "touch", failing)
    with pytest.raises(ResourceError, match="no file can be made in") as caught:
        check_writable(tmp_path / "out.tsv", force=False)
    assert f"no file can be made in {tmp_path}: No such file or directory; choose another --out" in str(caught.value)
    assert "probe" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_permission_denied_is_a_resource_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ResourceError, match="Permission denied"):
            check_writable(tmp_path / "out.tsv", force=False)
        with pytest.raises(ResourceError, match="Permission denied"), atomic_path(tmp_path / "out.tsv") as temporary:
            temporary.write_text("x")
    finally:
        tmp_path.chmod(0o700)


def test_the_file_at_fault_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"elsewhere\.txt"), atomic_path(tmp_path / "out.tsv"):
        (tmp_path / "elsewhere.txt").read_text()


def test_existing_output_needs_force(tmp_path: Path) -> None:
    path = tmp_path / "out.tsv"
    path.write_text("old")
    with pytest.raises(ConfigError, match="--force") as caught:
        check_writable(path, force=False)
    assert isinstance(caught.value, GenoviError)
    check_writable(path, force=True)
    check_writable(tmp_path / "new" / "deep" / "out.tsv", force=False)
    assert not (tmp_path / "new").exists()  # whatever fails later leaves no empty folder
    check_writable(genovi_folder(tmp_path / "run"), force=True)
    (tmp_path / "empty").mkdir()
    check_writable(tmp_path / "empty", force=True)
    assert path.read_text() == "old"
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="--force"):
        check_writable(dangling, force=False)
