"""What fuzzing found (tests/fuzzing.py): each is refused in one line, or read alike by kernel and line by line."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzzing import content_of
from vcfs import check_alike

CORPUS = sorted(Path(__file__).with_name("corpus").iterdir())


def test_there_is_a_corpus() -> None:
    assert len(CORPUS) > 50


@pytest.mark.parametrize("part", range(8))
def test_entries_are_refused_or_read_alike(tmp_path: Path, part: int) -> None:
    outcomes = {}
    for entry in CORPUS[part::8]:
        outcomes[entry.name] = check_alike(content_of(entry.read_bytes()), tmp_path)
    refused = [outcome for outcome in outcomes.values() if isinstance(outcome, str)]
    assert 0 < len(refused) < len(outcomes)  # both kinds are there
