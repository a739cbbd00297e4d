"""Coverage-guided fuzzing of the VCF and BGZF readers, for a time that is told; its findings are kept in a corpus.

    pip install atheris
    python tests/fuzzing.py --minutes 10 --corpus tests/genotypes/corpus [--ugly FOLDER]

An input is a VCF in one of three compressions (its first byte says which) or raw bytes. It has to be refused with a
GenoviError of one line, or to give the same genotypes whether whole pieces go through the compiled kernel or every line
is read by itself. atheris follows which lines of the readers in Python an input comes by; what comes by new ones, or
by the same ones with fewer bytes, is kept. ``test_corpus.py`` reads the corpus in every run of the tests.
"""

from __future__ import annotations

import argparse
import gzip
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from helpers import bgzf

MOST_BYTES = 4096
WAYS = (bytes, lambda text: gzip.compress(text, mtime=0), bgzf, bytes)


def content_of(entry: bytes) -> bytes:
    """The file that an entry of the corpus stands for: the first byte says how the others are packed."""
    return WAYS[entry[0] % len(WAYS)](entry[1:]) if entry else b""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--ugly", type=Path, help="a folder of small VCFs to begin with")
    arguments = parser.parse_args()
    arguments.corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        for i, seed in enumerate(seeds(arguments.ugly)):
            Path(temporary, f"seed{i}").write_bytes(seed)
        folders = [str(arguments.corpus), temporary]  # what is found goes to the first
        limits = [f"-max_len={MOST_BYTES}", "-timeout=60", f"-max_total_time={int(60 * arguments.minutes)}"]
        command = [sys.executable, __file__, "--one", *limits, f"-artifact_prefix={arguments.corpus}/", *folders]
        sys.exit(subprocess.run(command).returncode)


def seeds(ugly: Path | None) -> list[bytes]:
    """What to begin with."""
    from vcfs import SOURCES

    files = (
        [] if ugly is None else [p.read_bytes() for p in sorted(ugly.rglob("*.vcf")) if p.stat().st_size < MOST_BYTES]
    )
    return [bytes([i % 3]) + text for i, text in enumerate([*SOURCES, *files])]


def fuzz() -> None:
    """One process of atheris, which never returns."""
    import atheris

    with atheris.instrument_imports(include=["genovi.genotypes"], enable_loader_override=False):
        from vcfs import check_alike
    logging.getLogger("genovi").setLevel(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp())
    atheris.Setup([arg for arg in sys.argv if arg != "--one"], lambda entry: check_alike(content_of(entry), folder))
    atheris.Fuzz()


if __name__ == "__main__":
    fuzz() if "--one" in sys.argv else main()
