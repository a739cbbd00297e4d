"""``genovi fetch``, typed against a real server on loopback that drops connections, lies and lacks files."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import REPO
from webserver import Site, serving

from genovi.labels import read_labels
from genovi.releases import RELEASES

VCF = "ALL.chr22.phase3_shapeit2_mvncall_integrated_v5b.20130502.genotypes.vcf.gz"
PANEL = "integrated_call_samples_v3.20130502.ALL.panel"
FOLDER = "vol1/ftp/release/20130502"
TREE = "vol1/ftp/current.tree"
NAMES = sorted([VCF, f"{VCF}.tbi", PANEL, "published.md5", "fetch.log"])


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def tree(files: dict[str, bytes]) -> bytes:
    """The index of the server in the form of the project's: path, kind, bytes, time, MD5."""
    lines = ["ftp\tdirectory\t4096\tMon Jan  1 00:00:00 2024\t"]
    for path, content in files.items():
        lines.append(f"{path.removeprefix('vol1/')}\tfile\t{len(content)}\tMon Jan  1 00:00:00 2024\t{md5(content)}")
    return "\n".join([*lines, "ftp/zz\tfile\t1\tMon Jan  1 00:00:00 2024\t" + "0" * 32]).encode() + b"\n"


@pytest.fixture
def site() -> Iterator[Site]:
    """A server with chromosome 22 (the demo's genotypes under its name), laid out as the project's."""
    files = {
        f"{FOLDER}/{PANEL}": (REPO / "data/demo.panel").read_bytes(),
        f"{FOLDER}/{VCF}": (REPO / "data/demo_train.vcf.gz").read_bytes(),
        f"{FOLDER}/{VCF}.tbi": (REPO / "data/demo_train.vcf.gz.tbi").read_bytes(),
    }
    with serving(Site(files | {TREE: tree(files)})) as site:
        yield site


def words(site: Site, *more: object) -> list[object]:
    return [
        "fetch",
        "1kg",
        "--chromosomes",
        "22",
        "--out",
        "kg",
        "--mirror",
        f"{site.root}/vol1/ftp",
        "--tries",
        2,
        *more,
    ]


def whole(site: Site) -> None:
    """What is in the folder is what the server has, and nothing unfinished is beside it."""
    assert sorted(path.name for path in Path("kg").iterdir()) == NAMES
    for name in (VCF, f"{VCF}.tbi", PANEL):
        assert Path("kg", name).read_bytes() == site.files[f"{FOLDER}/{name}"]


def failing(shell: Any, code: int, said: str, *typed: object) -> Any:
    result = shell(*typed)
    assert result.exit_code == code, result.output
    last = result.stderr.splitlines()[-1]
    assert last.startswith("genovi: error: ")
    assert said in last
    return result


def test_files_come_checked_and_can_be_used(shell: Any, site: Site) -> None:
    result = shell(*words(site))
    assert result.exit_code == 0, result.output
    whole(site)
    assert result.stdout.count("MD5 as published") == 3
    assert "genovi convert kg/ALL.chr22" in result.stdout
    assert f"from {site.root}/{FOLDER}/{VCF}" in Path("kg/fetch.log").read_text()
    listed = dict(reversed(line.split("  ")) for line in Path("kg/published.md5").read_text().splitlines())
    assert listed == {name: md5(Path("kg", name).read_bytes()) for name in listed}
    assert len(listed) == 3
    assert shell("info", f"kg/{VCF}").exit_code == 0


def test_a_second_call_fetches_nothing(shell: Any, site: Site) -> None:
    shell(*words(site))
    site.asked.clear()
    again = shell(*words(site))
    assert (again.exit_code, site.asked) == (0, [])
    assert again.stdout.count("was here") == 3
    assert shell(*words(site, "--force")).exit_code == 0
    assert site.gets(VCF) == [""]


@pytest.mark.parametrize("resets", [True, False])
def test_a_dropped_connection_is_gone_on_with(shell: Any, site: Site, resets: bool) -> None:
    site.resets = resets
    site.drops[f"{FOLDER}/{VCF}"] = [70_000, 50_000]
    result = shell(*words(site, "--no-verify"))
    assert result.exit_code == 0, result.output
    assert Path("kg", VCF).read_bytes() == site.files[f"{FOLDER}/{VCF}"]
    whence = [int(span.removeprefix("bytes=").removesuffix("-") or 0) for span in site.gets(VCF)]
    assert len(whence) == 3
    assert whence == sorted(set(whence))  # each connection begins where the one before it broke
    assert "connection lost" in result.stderr


def test_a_server_without_ranges_sends_the_file_again(shell: Any, site: Site) -> None:
    site.ranges = False
    site.drops[f"{FOLDER}/{VCF}"] = [70_000]
    assert shell(*words(site)).exit_code == 0
    whole(site)
    assert len(site.gets(VCF)) == 2


def test_a_server_that_says_no_length(shell: Any, site: Site) -> None:
    site.lengths = False
    assert shell(*words(site)).exit_code == 0
    whole(site)


def test_a_connection_that_always_drops_leaves_a_part_for_the_next_call(shell: Any, site: Site) -> None:
    site.drops[f"{FOLDER}/{VCF}"] = [70_000, 0, 0]
    failing(shell, 5, "run the same command again", *words(site))
    part = Path("kg", f"{VCF}.part")
    assert not Path("kg", VCF).exists()
    came = part.stat().st_size
    assert 0 < came <= 70_000
    assert part.read_bytes() == site.files[f"{FOLDER}/{VCF}"][:came]
    site.asked.clear()
    assert shell(*words(site)).exit_code == 0
    assert site.gets(VCF) == [f"bytes={came}-"]
    whole(site)


def test_a_part_of_another_version_is_not_gone_on_with(shell: Any, site: Site) -> None:
    path = f"{FOLDER}/{VCF}"
    site.drops[path] = [70_000, 0, 0]
    failing(shell, 5, "cannot reach", *words(site, "--no-verify"))
    site.files[path] = site.files[path][::-1]
    assert shell(*words(site, "--no-verify")).exit_code == 0
    assert Path("kg", VCF).read_bytes() == site.files[path]


@pytest.mark.parametrize("left", [b"", b"x" * 70_000, b"x" * 10_000_000], ids=["empty", "other", "too long"])
@pytest.mark.parametrize("note", [True, False])
def test_whatever_lies_in_the_way_of_a_part(shell: Any, site: Site, left: bytes, note: bool) -> None:
    Path("kg").mkdir()
    Path("kg", f"{VCF}.part").write_bytes(left)
    size = len(site.files[f"{FOLDER}/{VCF}"])
    if note:
        said = f'{{"url": "{site.root}/{FOLDER}/{VCF}", "size": {size}, "mark": null}}'
        Path("kg", f"{VCF}.part.json").write_text(said)
    assert shell(*words(site)).exit_code == 0
    whole(site)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content[:-1] + b"x", "MD5 is"),
        (lambda content: content + b"more", "published are"),
        (lambda content: content[:-9], "published are"),
    ],
    ids=["wrong", "too long", "too short"],
)
@pytest.mark.parametrize("lengths", [True, False])
def test_a_file_other_than_published_is_refused(shell: Any, site: Site, change: Any, said: str, lengths: bool) -> None:
    site.lengths = lengths
    path = f"{FOLDER}/{VCF}"
    site.files[path] = change(site.files[path])
    result = failing(shell, 3, VCF, *words(site))
    assert (said if lengths else "publish") in result.stderr
    assert sorted(path.name for path in Path("kg").iterdir()) == [PANEL, "published.md5"]


def test_a_second_mirror_is_asked(shell: Any, site: Site) -> None:
    bad = dict(site.files) | {f"{FOLDER}/{VCF}": b"something else"}
    del bad[TREE]
    with serving(Site(bad)) as other:
        result = shell(*words(other, "--mirror", f"{site.root}/vol1/ftp"))
    assert result.exit_code == 0, result.output
    whole(site)
    assert (other.gets(PANEL), site.gets(PANEL), site.gets(VCF)) == ([""], [], [""])


def test_a_mirror_that_is_down_is_passed_over(shell: Any, site: Site) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        down = f"http://127.0.0.1:{taken.getsockname()[1]}"
        typed = ["fetch", "1kg", "--chr", "22", "--out", "kg", "--tries", 1, "--mirror", down]
        failing(shell, 5, "connection refused", *typed)
        assert shell(*typed, "--mirror", f"{site.root}/vol1/ftp").exit_code == 0
    whole(site)


def test_files_that_are_not_there(shell: Any, site: Site) -> None:
    failing(shell, 3, "HTTP 404", *words(site), "--chromosomes", "21")
    site.statuses[f"{FOLDER}/{VCF}"] = [503]
    assert shell(*words(site)).exit_code == 0
    whole(site)


def test_checksums_that_cannot_be_had_are_spoken_of(shell: Any, site: Site) -> None:
    del site.files[TREE]
    result = shell(*words(site))
    assert result.exit_code == 0, result.output
    assert "Warning: no MD5 is published for 3 files" in result.stderr
    assert result.stdout.count("not checked") == 3
    Path("kg", VCF).write_bytes(b"mine")
    failing(shell, 2, "--force", *words(site))
    assert Path("kg", VCF).read_bytes() == b"mine"


def test_what_was_there_and_differs_stays(shell: Any, site: Site) -> None:
    Path("kg").mkdir()
    Path("kg", VCF).write_bytes(b"mine")
    failing(shell, 2, "--force", *words(site))
    assert Path("kg", VCF).read_bytes() == b"mine"
    assert shell(*words(site, "--force")).exit_code == 0
    whole(site)


def test_dry_run_says_sizes_and_writes_nothing(shell: Any, site: Site) -> None:
    result = shell(*words(site, "--dry-run"))
    assert result.exit_code == 0, result.output
    size = len(site.files[f"{FOLDER}/{VCF}"])
    assert f"{size / 1e6:.1f} MB\t{site.root}/{FOLDER}/{VCF}\n" in result.stdout
    assert {method for method, _, _ in site.asked} == {"HEAD"}
    assert not Path("kg").exists()


def test_high_coverage_has_a_manifest_and_labels_that_are_read(shell: Any) -> None:
    release = RELEASES["30x"]
    labels, vcf, index = release.files(["22"])
    people = "FamilyID SampleID FatherID MotherID Sex Population Superpopulation\n"
    people += "BB01 HG01879 0 0 1 ACB AFR\nBB01 HG01880 HG01879 0 2 ACB AFR\n"
    files = {vcf: b"genotypes", index: b"index", labels: people.encode()}
    listed = "".join(f"{Path(path).name} {md5(files[path])}\n" for path in (vcf, index))
    with serving(Site(files | {release.checksums.path: listed.encode()})) as site:
        typed = ["fetch", "1kg", "--release", "30x", "--chr", "22", "--out", "kg", "--mirror", site.root]
        result = shell(*typed)
    assert result.exit_code == 0, result.output
    assert f"no MD5 is published for {Path(labels).name}" in result.stderr
    assert result.stdout.count("MD5 as published") == 2
    read = read_labels(Path("kg", Path(labels).name))
    assert read.samples == ("HG01879", "HG01880")
    assert (read.default_population_column(), read.default_group_column()) == ("Population", "Superpopulation")


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        (["--chromosomes", "22", "--release", "phase4"], 2, "phase3, 30x"),
        (["--chromosomes", "23-25"], 2, "no chromosome"),
        (["--chromosomes", "Y"], 2, "no chromosome 'Y'"),
        (["--chromosomes", ""], 2, "no chromosome named"),
        (["--chromosomes", "22", "--mirror", "/data/1kg"], 2, "https://HOST/FOLDER"),
        (["--chromosomes", "22", "--mirror", "ftp://ftp.1000genomes.ebi.ac.uk/vol1/ftp"], 2, "--mirror"),
        ([], 2, "--chromosomes"),
    ],
)
def test_bad_options(shell: Any, typed: list[str], code: int, said: str) -> None:
    shell.refuses(code, said, "fetch", "1kg", *typed, "--out", "kg")


def test_folders_that_cannot_be_written(shell: Any, site: Site) -> None:
    Path("kg").write_text("mine")
    shell.refuses(5, "cannot write", *words(site))


def test_a_call_that_brings_nothing_leaves_no_folder(shell: Any, site: Site) -> None:
    site.files.clear()
    failing(shell, 3, "HTTP 404", *words(site))
    assert not Path("kg").exists()


def test_checksums_of_an_earlier_call_that_cannot_be_read(shell: Any, site: Site) -> None:
    Path("kg").mkdir()
    kept = Path("kg", "published.md5")
    kept.write_bytes(b"\xff\xfe\x00 not text")
    shell.refuses(3, "published.md5", *words(site))
    kept.unlink()
    kept.mkdir()
    failing(shell, 2, "published.md5", *words(site))
    kept.rmdir()
    assert shell(*words(site)).exit_code == 0
    whole(site)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_and_gone_on_with(site: Site, tmp_path: Path, number: signal.Signals) -> None:
    path = f"{FOLDER}/{VCF}"
    site.files[path] = os.urandom(3_000_000)
    site.files[TREE] = tree({name: content for name, content in site.files.items() if name != TREE})
    site.pace = 0.05
    command = [sys.executable, "-m", "genovi", *map(str, words(site))]
    part = tmp_path / "kg" / f"{VCF}.part"
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as running:
        until = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size > 200_000):
            assert time.monotonic() < until and running.poll() is None
            time.sleep(0.02)
        running.send_signal(number)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 75, said
    assert said.splitlines()[-1].startswith(f"genovi: error: fetching was stopped by {number.name}")
    assert not (tmp_path / "kg" / VCF).exists()
    came = part.stat().st_size
    assert part.read_bytes() == site.files[path][:came]
    site.pace = 0.0
    site.asked.clear()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert site.gets(VCF) == [f"bytes={came}-"]
    assert (tmp_path / "kg" / VCF).read_bytes() == site.files[path]
    assert not part.exists()
