"""One file over HTTP that survives dropped connections and being stopped.

What has come lies in ``NAME.part``, and ``NAME.part.json`` says of what file it is a part: its address, its size and
the server's mark of the version (ETag or Last-Modified). Later calls ask for the rest (Range, RFC 9110, section 14) on
the condition that the file is still the same (If-Range); a server that cannot do that sends the whole file again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from genovi.errors import ResourceError
from genovi.files import resource_error
from genovi.provenance import version

_log = logging.getLogger("genovi")
_T = TypeVar("_T")
_CHUNK = 1 << 18
_PASSING = (408, 425, 429)  # answers of 4xx that another try may change


class RemoteError(Exception):
    """A server did not give what was asked for.

    Args:
        reason: What happened, in a few words.
        reached: Whether the server answered at all: another try at another time will not help where it did.
    """

    def __init__(self, reason: str, *, reached: bool) -> None:
        super().__init__(reason)
        self.reached = reached


class _DroppedError(Exception):
    """The connection failed; what has come can be kept."""


@dataclass(frozen=True)
class Expected:
    """What a server publishes of a file; None where it does not say.

    Attributes:
        md5: MD5 as hexadecimal.
        size: Bytes.
    """

    md5: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class Patience:
    """How long to go on with a server.

    Attributes:
        tries: Failures in a row, without a byte between them, after which it is given up.
        pause: Seconds before the second try; doubled each time.
        timeout: Seconds of silence after which a connection counts as dropped.
    """

    tries: int = 4
    pause: float = 1.0
    timeout: float = 30.0


class Watcher:
    """Is told how a transfer goes; this one does nothing with it."""

    def begin(self, name: str, done: int, total: int | None) -> None:
        """A transfer of ``name`` starts or goes on, with ``done`` of ``total`` bytes already here."""

    def advance(self, count: int) -> None:
        """``count`` bytes came."""

    def end(self) -> None:
        """The transfer is over, well or not."""


@dataclass(frozen=True)
class _Part:
    """What ``NAME.part`` is a part of."""

    url: str
    size: int | None
    mark: str | None

    @staticmethod
    def read(path: Path) -> _Part | None:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return _Part(str(found["url"]), found["size"], found["mark"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def ask(url: str, patience: Patience, headers: dict[str, str] | None = None, *, head: bool = False) -> Any:
    """Open ``url``; the answer is to be closed by the caller.

    Raises:
        RemoteError: the server refuses.
        _DroppedError: it cannot be reached now.
    """
    # here and below: the start of every other command would wait for these
    import http.client
    import urllib.error
    import urllib.request

    sent = {"User-Agent": f"genovi/{version()}", "Accept-Encoding": "identity"} | (headers or {})
    request = urllib.request.Request(url, headers=sent, method="HEAD" if head else "GET")
    try:
        return urllib.request.urlopen(request, timeout=patience.timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # no such range: the caller knows what it asked for
            return None
        if error.code >= 500 or error.code in _PASSING:
            raise _DroppedError(f"HTTP {error.code} {error.reason}") from error
        raise RemoteError(f"HTTP {error.code} {error.reason}", reached=True) from error
    except (OSError, http.client.HTTPException) as error:  # URLError and timeouts are OSErrors
        raise _DroppedError(_words(error)) from error


def chunks(answer: Any) -> Iterator[bytes]:
    """The body of an answer, piece by piece.

    Raises:
        _DroppedError: the connection failed, or ended before all that was announced had come.
    """
    import http.client

    come, length = 0, _length(answer)
    while True:
        try:
            piece = answer.read1(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _DroppedError(_words(error)) from error
        if not piece:
            break
        come += len(piece)
        yield piece
    if length is not None and come < length:
        raise _DroppedError(f"it ended after {come} of {length} bytes")


def patiently(attempt: Callable[[], _T], progress: Callable[[], int], patience: Patience) -> _T:
    """Call ``attempt`` again while connections drop; without a pause where ``progress`` has grown meanwhile.

    Args:
        attempt: One connection.
        progress: Bytes that are here by now.
        patience: When to give up.

    Raises:
        RemoteError: it failed too often in a row.
    """
    failures = 0
    while True:
        before = progress()
        try:
            return attempt()
        except _DroppedError as error:
            if progress() > before:
                failures = 0
                _log.info("connection lost (%s): going on", error)
                continue
            failures += 1
            if failures >= patience.tries:
                raise RemoteError(str(error), reached=False) from error
            _log.info("no answer (%s): trying again", error)
            time.sleep(patience.pause * 2 ** (failures - 1))


def remote_size(url: str, patience: Patience) -> int | None:
    """Bytes of a remote file, None where the server does not say.

    Raises:
        RemoteError: it is not there, or the server cannot be reached.
    """

    def attempt() -> int | None:
        with _answer(ask(url, patience, head=True)) as answer:
            return _length(answer)

    return patiently(attempt, lambda: 0, patience)


def download(url: str, path: Path, expected: Expected, patience: Patience, watch: Watcher) -> str:
    """Bring ``url`` to ``path``, which appears when it is whole and agrees with what is published.

    Args:
        url: Address of the file.
        path: Where it goes; ``path``.part is gone on with if it is a part of the same file.
        expected: What the file must agree with.
        patience: When to give up.
        watch: Is told of progress.

    Returns:
        MD5 of the file, as hexadecimal.

    Raises:
        RemoteError: the server does not give the file, or gives another one than is published.
        ResourceError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    for again in (True, False):
        resumed = patiently(lambda: _transfer(url, part, expected, patience, watch), lambda: _size(part), patience)
        digest = md5_of(part)
        if expected.md5 is None or digest == expected.md5:
            break
        discard(part)
        if not (again and resumed):  # what an earlier call left may have been of another version
            raise RemoteError(f"MD5 is {digest}, published is {expected.md5}", reached=True)
    try:
        part.replace(path)
    except OSError as error:
        raise resource_error(error, path) from error
    discard(part)
    return digest


def discard(part: Path) -> None:
    """Remove what an unfinished transfer left."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _transfer(url: str, part: Path, expected: Expected, patience: Patience, watch: Watcher) -> bool:
    """One connection: the rest of ``part``, or all of it; returns whether it went on with what was there."""
    have = _size(part)
    before = _Part.read(_note(part)) if have else None
    if before is None or not (before.url == url or expected.md5):
        have, headers = 0, {}
    else:
        headers = {"Range": f"bytes={have}-"}
        if before.url == url and before.mark is not None:
            headers["If-Range"] = before.mark
    if before is not None and have and have == before.size:  # stopped between the last byte and the check
        return True
    answer = ask(url, patience, headers)
    if answer is None or (answer.status == 206 and not _continues(answer, have, before)):
        if answer is not None:
            answer.close()
        discard(part)
        raise _DroppedError("the file there has changed")
    with _answer(answer):
        if answer.status != 206:
            have = 0
        length = _length(answer)
        total = None if length is None else have + length
        if expected.size is not None and total is not None and total != expected.size:
            discard(part)
            raise RemoteError(f"has {total} bytes, published are {expected.size}", reached=True)
        _receive(answer, part, have, _Part(url, total, _mark(answer)), expected, watch)
    return have > 0


def _receive(answer: Any, part: Path, have: int, source: _Part, expected: Expected, watch: Watcher) -> None:
    """Write the body of ``answer`` behind the first ``have`` bytes of ``part``."""
    total = source.size
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(part.parent).free
        if total is not None and total - have > free:
            raise ResourceError(
                f"no space for {part.name.removesuffix('.part')}",
                where=part.parent,
                why=f"{(total - have) / 1e6:.0f} MB are to come and {free / 1e6:.0f} MB are free",
                fix="free space and run the same command again, or choose another --out",
            )
        with open(part, "ab" if have else "wb", buffering=0) as handle:
            _note(part).write_text(json.dumps(asdict(source)), encoding="utf-8")
            watch.begin(part.name.removesuffix(".part"), have, total)
            try:
                for piece in chunks(answer):
                    handle.write(piece)
                    have += len(piece)
                    watch.advance(len(piece))
                    if expected.size is not None and have > expected.size:
                        break
            finally:
                watch.end()
    except OSError as error:
        raise resource_error(error, part) from error
    if expected.size is not None and have > expected.size:
        discard(part)
        raise RemoteError(f"has more than the {expected.size} bytes that are published", reached=True)


def _continues(answer: Any, have: int, before: _Part | None) -> bool:
    """Whether an answer is the rest of what is here."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", answer.headers.get("Content-Range", "").strip())
    if found is None or int(found[1]) != have or before is None:
        return False
    return found[3] == "*" or before.size is None or int(found[3]) == before.size


def _mark(answer: Any) -> str | None:
    """What If-Range may name: a strong ETag, or else the time of the last change."""
    tag = answer.headers.get("ETag")
    if tag is not None and not tag.startswith("W/"):
        return str(tag)
    changed = answer.headers.get("Last-Modified")
    return None if changed is None else str(changed)


def _length(answer: Any) -> int | None:
    text = answer.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _answer(answer: Any) -> Any:
    """``answer``, which closes itself behind a with block; there always is one where no range was asked for."""
    if answer is None:
        raise _DroppedError("HTTP 416")
    return answer


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(part: Path) -> int:
    try:
        return part.stat().st_size
    except OSError:
        return 0


def md5_of(path: Path) -> str:
    """MD5 of a file, as hexadecimal.

    Raises:
        ResourceError: it cannot be read.
    """
    try:
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise resource_error(error, path) from error


def _words(error: BaseException) -> str:
    """What a failed connection says, without the layers around it."""
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror.lower() if reason.errno != errno.ENOENT else str(reason)
    return str(reason) or type(reason).__name__
