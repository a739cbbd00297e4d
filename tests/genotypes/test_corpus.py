"""What fuzzing found (tests/fuzzing.py): each is refused in one line, or read alike by kernel and line by line."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzzing import content_of
from vcfs import check_alike

CORPUS = sorted(Path(__file__).with_name("corpus").iterdir())


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("corpus")
    return {entry.name: check_alike(content_of(entry.read_bytes()), folder) for entry in CORPUS}


def test_entries_are_refused_or_read_alike(outcomes: dict[str, object]) -> None:
    assert len(outcomes) > 50


def test_both_kinds_are_there(outcomes: dict[str, object]) -> None:
    refused = [outcome for outcome in outcomes.values() if isinstance(outcome, str)]
    assert 5 < len(refused) < len(outcomes) - 5
