"""Filtering while reading, and the plain way to compare it with. Import as ``from streams import ...``."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from helpers import assert_same

from genovi.errors import GenoviError
from genovi.genotypes.filtering import apply_qc, filter_sources
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.memory import MemoryPlan
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes, open_sources

OPEN = QCConfig(maf=0, geno=1, mind=1, indep_pairwise=None, build="none")


class Lines(logging.Handler):
    """What is logged as a warning."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def warnings() -> Iterator[list[str]]:
    handler = Lines()
    logger = logging.getLogger("genovi")
    logger.addHandler(handler)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)


Outcome = tuple[str, GenotypeMatrix | None, dict[str, Any] | None, list[str]]


def at_once(paths: list[Path], config: QCConfig) -> Outcome:
    """The plain way: read everything, then filter."""
    with warnings() as lines:
        try:
            matrix = open_genotypes(paths, config.split_multiallelic)
            lines.clear()  # on reading: said again by apply_qc, which does not know who read
            filtered, report = apply_qc(matrix, config)
        except GenoviError as error:
            return str(error), None, None, lines
    return "", filtered, report.to_dict(), lines


def streamed(paths: list[Path], config: QCConfig, plan: MemoryPlan) -> Outcome:
    with warnings() as lines:
        try:
            with open_sources(paths, config.split_multiallelic) as sources:
                filtered, report = filter_sources(sources, config, plan)
        except GenoviError as error:
            return str(error), None, None, lines
    return "", filtered, report.to_dict(), lines


def assert_alike(one: Outcome, other: Outcome, calls: bool = True) -> None:
    """Not ``calls``: odd calls are not compared, because records that --chr leaves out were not looked at."""
    assert one[0] == other[0]
    said = [sorted(line for line in lines if calls or not line.startswith("half calls")) for *_, lines in (one, other)]
    assert said[0] == said[1]
    if not calls:
        one, other = without_calls(one), without_calls(other)
    if one[1] is not None and other[1] is not None:
        assert_same(one[1], other[1])
        assert one[1].facts == other[1].facts
        assert json.dumps(one[2]) == json.dumps(other[2])


def without_calls(outcome: Outcome) -> Outcome:
    message, matrix, report, lines = outcome
    if matrix is None or report is None:
        return outcome
    facts = replace(matrix.facts, half_calls=0, haploid_calls=0)
    return message, replace(matrix, facts=facts), report | {"calls": {}}, lines
