"""Errors: one line, all its parts, the right exit code."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genovi.errors import (
    ConfigError,
    DataError,
    GenoviError,
    InterruptedRunError,
    MismatchError,
    ResourceError,
    TrainingError,
)

CODES = {
    GenoviError: 1,
    ConfigError: 2,
    DataError: 3,
    MismatchError: 4,
    TrainingError: 4,
    ResourceError: 5,
    InterruptedRunError: 75,
}


@pytest.mark.parametrize(("kind", "code"), CODES.items())
def test_exit_codes(kind: type[GenoviError], code: int) -> None:
    assert kind("boom").exit_code == code
    assert issubclass(kind, GenoviError)


def test_every_class_is_listed_here() -> None:
    def descendants(kind: type) -> set[type]:
        return {kind}.union(*(descendants(child) for child in kind.__subclasses__()))

    assert {kind for kind in descendants(GenoviError) if kind.__module__ == "genovi.errors"} == set(CODES)


def test_message_names_what_where_why_and_fix() -> None:
    error = DataError("no GT", where="a.vcf", why="genotypes are needed", fix="call genotypes first")
    assert str(error) == "no GT (a.vcf): genotypes are needed; call genotypes first"
    assert str(DataError("no GT")) == "no GT"
    assert str(DataError("no GT", where=0)) == "no GT (0)"
    assert str(DataError("no GT", fix="call them")) == "no GT: call them"


@given(st.text(min_size=1), st.text(), st.text(), st.text())
def test_message_is_one_line(what: str, where: str, why: str, fix: str) -> None:
    message = str(GenoviError(what, where=where, why=why, fix=fix))
    assert len(message.splitlines()) <= 1


def test_survives_pickling_between_processes() -> None:
    error = pickle.loads(pickle.dumps(MismatchError("overlap", where="x.vcf", why="few", fix="lift over")))
    assert type(error) is MismatchError
    assert (str(error), error.where) == ("overlap (x.vcf): few; lift over", "x.vcf")
