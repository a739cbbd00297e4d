"""The README's commands, typed as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from helpers import REPO

COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", (REPO / "README.md").read_text(), re.DOTALL)
    for line in block.splitlines()
]


def test_there_is_a_first_run() -> None:
    assert [command.split()[1] for command in COMMANDS] == [
        "info",
        "train",
        "plot",
        "embed",
        "evaluate",
        "plot",
        "report",
    ]


def test_first_run(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(REPO / "data")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for command in COMMANDS:
        result = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"{command}\n{result.stderr}"
    written = {path.name for path in tmp_path.iterdir()}
    assert {
        "run",
        "ancestry.png",
        "new.embedding.tsv",
        "new.match.tsv",
        "training.pdf",
        "report.html",
        "report.log",
    } <= written
