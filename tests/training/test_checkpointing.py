"""Checkpoints: a run that is stopped anywhere ends as one that never was; bad checkpoints are told, never trusted."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from toys import LONG, each_posterior_of

from genovi.errors import ConfigError, DataError, InterruptedRunError, MismatchError, ResourceError
from genovi.model.config import ModelConfig
from genovi.seeding import Seeds
from genovi.training.checkpointing import LATEST, PREVIOUS, Checkpoints, Snapshot, seed_of
from genovi.training.config import TrainingConfig
from genovi.training.loop import fit
from genovi.training.monitor import EpochRecord, Monitor
from genovi.training.outcome import Fit
from genovi.training.state import history_of, history_tensor

IDENTITY = {"seed": 7, "pcs": None, "batch_size": 32}
MODEL = ModelConfig(hidden=16, components=5)
TRAINING = TrainingConfig(epochs=9, batch_size=32, holdout=0.25, device="cpu", threads=None)
STEPS = 9 * 2  # 90 of 120 samples are trained on


def data(seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    groups = rng.normal(scale=3, size=(3, 5))
    return groups[rng.integers(3, size=120)] + rng.normal(size=(120, 5))


class StopAfter(Monitor):
    """Asks to stop after a number of steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.began_at = -1

    @property
    def stop_requested(self) -> bool:
        self.steps -= 1
        return self.steps <= 0

    def begin(self, epochs: int, done: int = 0) -> None:
        self.began_at = done


def run(
    folder: Path, monitor: Monitor, posterior: str = "ddvi", x: np.ndarray | None = None, every: float = 1e9
) -> Fit:
    model = replace(MODEL, posterior=posterior)
    checkpoints = Checkpoints(folder, IDENTITY, every)
    return fit(data() if x is None else x, model, TRAINING, Seeds(7), monitor, None, checkpoints)


def assert_same(one: Fit, other: Fit) -> None:
    for name, tensor in other.model.state_dict().items():
        assert torch.equal(one.model.state_dict()[name], tensor), name
    assert one.reason == other.reason
    assert one.settled == other.settled
    both = [[replace(record, seconds=0.0) for record in result.history] for result in (one, other)]
    assert str(both[0]) == str(both[1])  # NaN is not equal to itself


@each_posterior_of(["ddvi", "gaussian", "aae", *LONG])
def test_stopped_after_every_few_steps_it_ends_as_if_never_stopped(tmp_path: Path, posterior: str) -> None:
    whole = run(tmp_path / "none", Monitor(), posterior)
    for pause in (1, 5):
        folder = tmp_path / str(pause)
        result, stops = None, 0
        while result is None:
            try:
                result = run(folder, StopAfter(pause), posterior)
            except InterruptedRunError as error:
                stops += 1
                assert error.exit_code == 75
                assert str(folder) in str(error)
        settling = 0 if whole.settled is None else whole.settled.steps
        assert (settling > 0) == (posterior != "aae")
        assert stops == (STEPS + settling) // pause
        assert_same(result, whole)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, STEPS + 2), max_size=4))
def test_stopped_anywhere(tmp_path_factory: pytest.TempPathFactory, cuts: list[int]) -> None:
    folder = tmp_path_factory.mktemp("cuts")
    whole = run(folder / "none", Monitor())
    for cut in cuts:
        try:
            run(folder / "checkpoint", StopAfter(cut))
        except InterruptedRunError:
            continue
    assert_same(run(folder / "checkpoint", Monitor()), whole)


def test_checkpoints_of_epochs_are_as_good(tmp_path: Path) -> None:
    whole = run(tmp_path / "none", Monitor())
    with pytest.raises(InterruptedRunError):
        run(tmp_path / "c", StopAfter(9), every=0.0)
    (tmp_path / "c" / LATEST).unlink()  # that of the stop; the one before is that of the epoch
    monitor = StopAfter(STEPS)
    assert_same(run(tmp_path / "c", monitor), whole)
    assert monitor.began_at == 4
    assert run(tmp_path / "c", Monitor(), every=0.0).reason == "finished"


def test_without_a_place_for_it_a_stop_keeps_nothing() -> None:
    with pytest.raises(InterruptedRunError, match="nothing was kept"):
        fit(data(), MODEL, TRAINING, Seeds(7), StopAfter(3))


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """Checkpoints of a run that was stopped after seven steps, with one before it."""
    with pytest.raises(InterruptedRunError):
        run(tmp_path / "run.checkpoint", StopAfter(7), every=0.0)
    assert sorted(path.name for path in (tmp_path / "run.checkpoint").iterdir()) == [LATEST, PREVIOUS]
    return tmp_path / "run.checkpoint"


class Told(StopAfter):
    """Keeps how many steps of settling were announced."""

    settling = -1

    def settle(self, steps: int) -> None:
        self.settling = steps


def test_what_is_left_of_settling_is_told(tmp_path: Path) -> None:
    first, second = Told(STEPS + 3), Told(10 * STEPS)
    with pytest.raises(InterruptedRunError):
        run(tmp_path / "run.checkpoint", first)
    whole = run(tmp_path / "run.checkpoint", second)
    assert whole.settled is not None
    assert (first.settling, second.settling) == (whole.settled.steps, whole.settled.steps - 3)


def test_a_checkpoint_from_before_there_was_settling_is_gone_on_from(stopped: Path) -> None:
    place = Checkpoints(stopped, IDENTITY, 1e9)
    snapshot = place.load()
    assert snapshot is not None
    place.save(replace(snapshot, numbers={name: n for name, n in snapshot.numbers.items() if name != "ended"}))
    assert_same(run(stopped, StopAfter(2 * STEPS)), run(stopped.with_name("none"), Monitor()))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_kind(path: Path) -> None:
    save_file({"a": torch.zeros(3)}, path)


@pytest.mark.parametrize("damage", [cut, flip, empty, other_kind])
def test_a_damaged_checkpoint_is_named_and_the_one_before_taken(
    stopped: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    whole = run(stopped.with_name("none"), Monitor())
    damage(stopped / LATEST)
    assert seed_of(stopped) == 7
    with caplog.at_level(logging.INFO, "genovi"):
        monitor = StopAfter(STEPS)
        assert_same(run(stopped, monitor), whole)
    assert f"checkpoint {stopped / LATEST} is damaged" in caplog.text
    assert monitor.began_at == 3
    assert "epoch 3 of at most 9" in caplog.text


def test_where_all_are_damaged_training_starts_anew_and_says_so(
    stopped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in (LATEST, PREVIOUS):
        flip(stopped / name)
    assert seed_of(stopped) is None
    monitor = StopAfter(2 * STEPS)
    assert_same(run(stopped, monitor), run(stopped.with_name("none"), Monitor()))
    assert monitor.began_at == 0
    assert "training starts anew" in caplog.text


def test_a_checkpoint_of_other_settings_is_refused_and_kept(stopped: Path) -> None:
    other = Checkpoints(stopped, IDENTITY | {"batch_size": 64, "seed": 8}, 0)
    with pytest.raises(ConfigError, match="seed 7 there, 8 here; batch_size 32 there, 64 here; type the options"):
        other.load()
    assert (stopped / LATEST).exists()
    assert Checkpoints(stopped, IDENTITY | {"seed": 8}, 0, resume=False).load() is None


def test_a_checkpoint_of_other_data_is_refused(stopped: Path) -> None:
    moved = data()
    moved[17] += 0.1
    for x in (data(2), data()[:-1], moved):
        with pytest.raises(MismatchError, match="the checkpoint was made on other data"):
            run(stopped, Monitor(), x=x)
    run(stopped, Monitor(), x=data() + 1e-6)  # what another machine's arithmetic may do


def test_a_newer_format_is_refused(stopped: Path) -> None:
    save_file(load_file(stopped / LATEST), stopped / LATEST, {"kind": "genovi checkpoint", "version": "99"})
    with pytest.raises(DataError, match="format version 99, this genovi reads up to 1"):
        run(stopped, Monitor())


def test_a_place_that_cannot_be_written_is_said_and_what_was_there_stays(tmp_path: Path, stopped: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ResourceError, match=r"cannot write a checkpoint .*is not there"):
        run(tmp_path / "file" / "c", StopAfter(3))
    before = {path.name: path.read_bytes() for path in stopped.iterdir()}
    place = Checkpoints(stopped, IDENTITY, 0)
    latest = stopped / LATEST

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", no_space)
        with pytest.raises(ResourceError, match="No space left on device; the checkpoint before it is kept"):
            place.save(Snapshot({"a": torch.zeros(2)}, {}))
        with pytest.raises(ResourceError, match="the checkpoint before it is not there"):
            Checkpoints(tmp_path / "new", IDENTITY, 0).save(Snapshot({"a": torch.zeros(2)}, {}))
        assert not (tmp_path / "new").exists()
    assert {path.name: path.read_bytes() for path in stopped.iterdir()} == before
    place.save(Snapshot({"a": torch.zeros(2)}, {"n": 1}))
    assert (stopped / PREVIOUS).read_bytes() == before[LATEST]
    loaded = place.load()
    assert loaded is not None
    assert loaded.numbers == {"n": 1}
    place.remove()
    assert not latest.parent.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for two checkpoints."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if sys.platform != "linux" or subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a file system, and not everywhere")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)  # states that were read map their files


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(bytes(4096))
    return filler


def test_on_a_full_disk_a_stop_is_refused_and_the_checkpoint_before_it_is_good(
    tmp_path: Path, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = small_disk / "run.checkpoint"
    whole = run(tmp_path / "none", Monitor())
    with pytest.raises(InterruptedRunError):
        run(place, StopAfter(7))
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    filler = fill(small_disk)
    with pytest.raises(ResourceError, match="No space left on device; the checkpoint before it is kept") as caught:
        run(place, StopAfter(5), every=0.0)
    assert caught.value.exit_code == 5
    assert "training goes on without" in caplog.text  # as it did until it was told to stop
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    filler.unlink()
    assert_same(run(place, Monitor()), whole)


def test_a_folder_that_vanishes_meanwhile_is_made_again(tmp_path: Path) -> None:
    place = tmp_path / "scratch" / "run.checkpoint"

    class Cleaner(StopAfter):
        def epoch(self, record: EpochRecord) -> None:
            shutil.rmtree(place.parent, ignore_errors=True)

    with pytest.raises(InterruptedRunError):
        run(place, Cleaner(9), every=0.0)
    assert_same(run(place, Monitor()), run(tmp_path / "none", Monitor()))


def test_what_else_lies_in_the_folder_stays(stopped: Path) -> None:
    (stopped / "notes.txt").write_text("mine")
    (stopped / f".tmp-1-{LATEST}").write_text("of a process that was killed")
    Checkpoints(stopped, IDENTITY, 0).remove()
    assert [path.name for path in stopped.iterdir()] == ["notes.txt"]
    Checkpoints(stopped.with_name("nowhere"), IDENTITY, 0).remove()


def test_training_goes_on_where_checkpoints_on_the_way_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("mine")
    result = run(tmp_path / "file" / "c", Monitor(), every=0.0)
    assert_same(result, run(tmp_path / "none", Monitor()))
    assert caplog.text.count("cannot write a checkpoint") == len(result.history) - 1
    assert "training goes on without" in caplog.text


def test_history_comes_back_exactly() -> None:
    rng = np.random.default_rng(0)
    history = [EpochRecord(i, *rng.normal(size=12)) for i in range(1, 4)]
    assert history_of(history_tensor(history)) == history
    assert history_of(history_tensor([])) == []
