"""Public genotypes from the servers that publish them.

Every file is held against its published MD5; servers are asked in turn; a call that was stopped is gone on with.
"""

from __future__ import annotations

import logging
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from genovi.downloads import (
    Expected,
    Patience,
    RemoteError,
    Watcher,
    ask,
    chunks,
    discard,
    download,
    md5_of,
    patiently,
    remote_size,
)
from genovi.errors import ConfigError, DataError, GenoviError, ResourceError
from genovi.files import atomic_path, check_writable
from genovi.releases import ChecksumList, Release

_log = logging.getLogger("genovi")
PUBLISHED = "published.md5"


@dataclass(frozen=True)
class Fetched:
    """One file that is here now.

    Attributes:
        name: File name in the folder.
        size: Bytes.
        md5: MD5 of what is here.
        checked: It agrees with an MD5 that a server publishes.
        source: Where it came from in this call, "" where it was here before.
    """

    name: str
    size: int
    md5: str
    checked: bool
    source: str

    def line(self) -> str:
        """The file as a line for a log or a screen."""
        how = "MD5 as published" if self.checked else "not checked: no MD5 published"
        whence = f"from {self.source}" if self.source else "was here"
        return f"{self.name}: {self.size / 1e6:.1f} MB, {how} ({self.md5}), {whence}"


@dataclass
class Servers:
    """Servers to ask, the one that gave something last first.

    Attributes:
        roots: Their roots.
        patience: When to give one up.
        failures: Why files could not be had, in order.
    """

    roots: list[str]
    patience: Patience
    failures: list[tuple[str, RemoteError]] = field(default_factory=list)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self.roots))

    def gave(self, root: str) -> None:
        """Ask ``root`` first from now on."""
        self.roots.remove(root)
        self.roots.insert(0, root)
        self.failures.clear()

    def failed(self, url: str, error: RemoteError) -> None:
        """Keep in mind that ``url`` could not be had."""
        self.failures.append((url, error))
        _log.info("%s: %s", url, error)

    def error(self, name: str) -> GenoviError:
        """That no server gave ``name``: a lack of this machine where one was not reached, else of the servers."""
        said = "; ".join(f"{urllib.parse.urlsplit(url).netloc}: {error}" for url, error in self.failures)
        if any(not error.reached for _, error in self.failures):
            return ResourceError(
                f"cannot reach a server for {name}",
                why=said,
                fix="check the network and run the same command again, which goes on from what has come; on a machine "
                "without internet fetch elsewhere and copy the folder, or name a server that it reaches with --mirror",
            )
        return DataError(f"no server gives {name}", why=said, fix="try --mirror with another server, or again later")


def servers_of(release: Release, mirrors: Sequence[str], patience: Patience) -> Servers:
    """The servers to ask: ``mirrors`` alone where there are some, else the public ones.

    Raises:
        ConfigError: a mirror is no address.
    """
    for mirror in mirrors:
        parts = urllib.parse.urlsplit(mirror)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ConfigError(
                f"{mirror!r} is not the address of a server",
                where="--mirror",
                fix="write it as https://HOST/FOLDER, the folder that holds what the public server has below vol1/ftp",
            )
    roots = [mirror.rstrip("/") for mirror in mirrors] or list(release.servers)
    return Servers(list(dict.fromkeys(roots)), patience)


def sizes(paths: Sequence[str], servers: Servers) -> list[tuple[str, int | None]]:
    """Address and bytes (None: not said) of each file, from the first server that has it.

    Raises:
        ResourceError, DataError: no server has one of them.
    """
    found = []
    for path in paths:
        for root in servers:
            try:
                found.append((f"{root}/{path}", remote_size(f"{root}/{path}", servers.patience)))
            except RemoteError as error:
                servers.failed(f"{root}/{path}", error)
                continue
            servers.gave(root)
            break
        else:
            raise servers.error(Path(path).name)
    return found


def fetch(
    release: Release,
    chromosomes: Sequence[str],
    folder: Path,
    servers: Servers,
    *,
    verify: bool = True,
    force: bool = False,
    watch: Watcher | None = None,
) -> list[Fetched]:
    """Bring a release's labels, VCFs and indexes into ``folder``.

    A file that is there already is checked and kept. A file that is whole has its name; an unfinished one lies beside
    as ``NAME.part``, from which the same call goes on.

    Args:
        release: What to fetch.
        chromosomes: Which, as normalised names.
        folder: Where to.
        servers: Whom to ask.
        verify: Ask for the published MD5 sums and hold files against them.
        force: Fetch again what is there.
        watch: Is told of progress.

    Raises:
        ConfigError: a file there is another one than is published, and ``force`` is false.
        ResourceError: no server can be reached, or files cannot be written.
        DataError: no server has a file as it is published.
    """
    paths = release.files(chromosomes)
    check_writable(folder / PUBLISHED, force=True)
    published = _published(release.checksums, paths, folder, servers) if verify else {}
    done = []
    for path in paths:
        target = folder / Path(path).name
        expected = published.get(path, Expected())
        if target.is_file() and not force:
            done.append(_present(target, path, expected, servers))
            continue
        if force:
            discard(target.with_name(f"{target.name}.part"))
        done.append(_from_servers(path, target, expected, servers, watch or Watcher()))
    return done


def _from_servers(path: str, target: Path, expected: Expected, servers: Servers, watch: Watcher) -> Fetched:
    for root in servers:
        url = f"{root}/{path}"
        try:
            digest = download(url, target, expected, servers.patience, watch)
        except RemoteError as error:
            servers.failed(url, error)
            continue
        servers.gave(root)
        return Fetched(target.name, target.stat().st_size, digest, expected.md5 is not None, url)
    raise servers.error(target.name)


def _present(target: Path, path: str, expected: Expected, servers: Servers) -> Fetched:
    """A file that is there already, if it is the right one; by its size where no MD5 is published."""
    size, digest = target.stat().st_size, md5_of(target)
    if expected.md5 is None:
        (_, there), *_ = sizes([path], servers)
        wrong = there is not None and there != size
        reason = f"it has {size} bytes, the server's {there}"
    else:
        wrong = digest != expected.md5
        reason = f"its MD5 is {digest}, published is {expected.md5}"
    if wrong:
        raise ConfigError("the file is another one than is published", where=target, why=reason, fix="add --force")
    return Fetched(target.name, size, digest, expected.md5 is not None, "")


def _published(checksums: ChecksumList, paths: Sequence[str], folder: Path, servers: Servers) -> dict[str, Expected]:
    """What is published of ``paths``; a file of the folder keeps it, because the index of a whole server is large."""
    kept = folder / PUBLISHED
    lines = _kept_lines(kept) if kept.is_file() else []
    known = {name: md5 for md5, _, name in (line.partition("  ") for line in lines) if name}
    found = {path: Expected(known[Path(path).name]) for path in paths if Path(path).name in known}
    if not checksums.is_tree or len(found) < len(paths):
        found = _asked(checksums, paths, servers) or found
    if found:
        known |= {Path(path).name: expected.md5 or "" for path, expected in found.items()}
        with atomic_path(kept) as temporary:
            temporary.write_text("".join(f"{md5}  {name}\n" for name, md5 in sorted(known.items())), encoding="utf-8")
    absent = [Path(path).name for path in paths if path not in found]
    if absent:
        _log.warning(
            "no MD5 is published for %s: sizes alone can be compared",
            absent[0] if len(absent) == 1 else f"{len(absent)} files ({absent[0]}, ...)",
        )
    return found


def _kept_lines(kept: Path) -> list[str]:
    try:
        return kept.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        fix = "remove it and run the same command again"
        raise DataError("checksums of an earlier call cannot be read", where=kept, why=reason, fix=fix) from error


def _asked(checksums: ChecksumList, paths: Sequence[str], servers: Servers) -> dict[str, Expected]:
    """Ask the servers for their list."""
    for root in servers:
        url = f"{root}/{checksums.path}"
        if checksums.is_tree:
            _log.info("reading %s until the checksums of %d files are found", url, len(paths))
        try:
            search = partial(_search, url, checksums, paths, servers.patience)
            found = patiently(search, lambda: 0, servers.patience)
        except RemoteError as error:
            servers.failed(url, error)
            continue
        servers.failures.clear()
        return found
    unreachable = all(not error.reached for _, error in servers.failures)
    if unreachable:
        raise servers.error(Path(checksums.path).name)
    servers.failures.clear()
    return {}


def _search(url: str, checksums: ChecksumList, paths: Sequence[str], patience: Patience) -> dict[str, Expected]:
    """Read a list only as far as the last file that is looked for."""
    wanted = {f"ftp/{path}" if checksums.is_tree else Path(path).name: path for path in paths}
    found: dict[str, Expected] = {}
    with ask(url, patience) as answer:
        for line in _lines(answer):
            cells = line.split("\t") if checksums.is_tree else line.split()
            path = wanted.get(cells[0]) if cells else None
            if path is None:
                continue
            size, md5 = (cells[2], cells[4]) if len(cells) >= 5 else (None, cells[1] if len(cells) == 2 else "")
            md5 = md5.strip().lower()
            if len(md5) == 32:
                found[path] = Expected(md5, int(size) if size and size.isdecimal() else None)
            if len(found) == len(wanted):
                break
    return found


def _lines(answer: object) -> Iterator[str]:
    """Lines of an answer's body."""
    rest = b""
    for piece in chunks(answer):
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in lines)
    yield rest.decode("utf-8", "replace")
