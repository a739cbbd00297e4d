"""Every error that genovi raises on purpose, and the exit code each one ends with.

A message is one line that says what happened, where, why it matters and what to do:
``what (where): why; fix``. The command line prints it on stderr without a traceback.
Anything that is not a ``GenoviError`` is a bug and keeps its traceback (exit code 1).
"""

from __future__ import annotations


class GenoviError(Exception):
    """Base of all deliberate errors.

    Args:
        what: What happened, without a full stop.
        where: File, line, sample or option concerned.
        why: Why it matters to the analysis.
        fix: What to type or change.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: object = None, why: str | None = None, fix: str | None = None) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.why = why
        self.fix = fix
        head = what if self.where is None else f"{what} ({self.where})"
        tail = "; ".join(part for part in (why, fix) if part)
        message = f"{head}: {tail}" if tail else head
        super().__init__(" ".join(message.split()))


class ConfigError(GenoviError):
    """An option or a combination of options makes no sense (exit code 2)."""

    exit_code = 2


class DataError(GenoviError):
    """Input is bad or not supported (exit code 3)."""

    exit_code = 3


class MismatchError(GenoviError):
    """Data do not fit the model: too few shared variants, no shared samples (exit code 4)."""

    exit_code = 4


class TrainingError(MismatchError):
    """Training diverged or cannot start on these data (exit code 4)."""


class ResourceError(GenoviError):
    """Memory, disk, permission or device is missing (exit code 5)."""

    exit_code = 5


class InterruptedRunError(GenoviError):
    """The run was asked to stop and left a good checkpoint: the same command goes on from it (exit code 75)."""

    exit_code = 75
