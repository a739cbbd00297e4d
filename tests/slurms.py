"""A Slurm of one node, or two, that a test starts on loopback and stops again: munged, slurmctld and slurmd of Debian.

Nothing outside of its own folder is read or written, but for the machine's cgroups, which it does not use: processes
are tracked by their parents (by their group, jobs would end 3 s later), and jobs run as whoever runs the tests, which
must be root.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

SECONDS = 300  # no machine is so busy
_TO_START = 120
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol", "squeue")
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
_NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} State=UNKNOWN"
_CONF = """\
ClusterName=genovi
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
SlurmctldPort={ports[0]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
SchedulerType=sched/backfill
MpiDefault=none
SwitchType=switch/none
MaxJobCount=200
MinJobAge=300
KillWait=5
ReturnToService=2
{nodes}
PartitionName=all Nodes={names} Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """Why no Slurm can be started here, None where it can."""
    absent = [program for program in PROGRAMS if shutil.which(program, path=_PATH) is None]
    if absent:
        return f"{', '.join(absent)} not installed (Debian packages slurm-wlm and munge)"
    if os.geteuid() != 0:
        return "only root can start a Slurm"
    return None


class NotStartedError(Exception):
    """This machine does not let a Slurm run, for reasons of its own."""


@dataclass(frozen=True)
class Slurm:
    """A running cluster.

    Attributes:
        folder: Its configuration, logs and state.
        environment: Of programs that talk to it.
    """

    folder: Path
    environment: dict[str, str]

    def call(self, *words: object) -> str:
        """Standard output of a program that must end well."""
        done = subprocess.run(
            [str(word) for word in words], env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def states(self, job: str) -> dict[str, str]:
        """State of each task of a job by its name, such as {"3_1": "RUNNING"}; of a job without tasks {"3": ...}."""
        lines = self.call("squeue", "--noheader", "--array", "--states=all", f"--jobs={job}", "--format=%i %T")
        return {name: state for name, state in (line.split() for line in lines.splitlines())}

    def facts(self, job: str) -> dict[str, str]:
        """What ``scontrol show job`` says of one job."""
        words = self.call("scontrol", "--oneliner", "show", "job", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until ``condition`` is true."""
        end = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < end, f"{what} did not happen in {SECONDS} s\n{self.queue()}"
            time.sleep(0.05)

    def ended(self, job: str) -> dict[str, str]:
        """Wait until no task of the job is left to run; returns their states."""
        over = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"}
        self.wait_for(lambda: bool(states := self.states(job)) and set(states.values()) <= over, f"end of job {job}")
        return self.states(job)

    def queue(self) -> str:
        """What an assertion that fails should show."""
        logs = [(self.folder / name).read_text(errors="replace")[-1500:] for name in ("slurmctld.log", "slurmd.log")]
        return "\n".join([self.call("squeue", "--states=all"), *logs])


@contextmanager
def running_slurm(nodes: int = 1) -> Iterator[Slurm]:
    """A cluster that is there within the block, and gone after it; of two nodes both are this machine."""
    with ExitStack() as stack:
        # below /tmp by a short name: the path of a socket has 107 bytes at most
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp")))
        host = socket.gethostname().split(".")[0]
        names = [host, "localhost"][:nodes]  # names that ranks find each other by
        (folder / "state").mkdir()
        for name in names:
            (folder / "spool" / name).mkdir(parents=True)
        key = folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        conf = folder / "slurm.conf"
        ports = _free_ports(1 + nodes)
        about = {"host": host, "cpus": os.cpu_count()}
        lines = [_NODE.format(name=name, port=port, **about) for name, port in zip(names, ports[1:], strict=True)]
        text = _CONF.format(host=host, folder=folder, ports=ports, nodes="\n".join(lines), names=",".join(names))
        conf.write_text(text)
        environment = {**os.environ, "PATH": _PATH, "SLURM_CONF": str(conf)}
        for name in [name for name in environment if name.startswith(("SBATCH_", "SLURM_")) and name != "SLURM_CONF"]:
            del environment[name]  # the tests themselves may run in a job
        slurm = Slurm(folder, environment)
        munge = [f"--{name}-file={folder}/munge.{end}" for name, end in (("key", "key"), ("log", "log"))]
        munge += [f"--pid-file={folder}/munge.pid", f"--seed-file={folder}/munge.seed"]
        # --force: /tmp is open to all, which munged does not like around a socket
        _start(stack, slurm, "munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munge)
        _wait_for_start(slurm, (folder / "munge.socket").exists, "munged")
        _start(stack, slurm, "slurmctld", "-D", "-c", "-f", str(conf))
        for name in names:
            _start(stack, slurm, "slurmd", "-D", "-c", "-f", str(conf), "-N", name)
        _wait_for_start(slurm, lambda: _is_idle(slurm), "slurmctld and slurmd")
        stack.callback(_cancel_all, slurm)
        yield slurm


def _wait_for_start(slurm: Slurm, condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _TO_START
    while not condition():
        if time.monotonic() > end:
            said = "; ".join(
                text.splitlines()[-1]
                for path in sorted(slurm.folder.glob("*.out"))
                if (text := path.read_text().strip())
            )
            raise NotStartedError(f"{what} did not start in {_TO_START} s: {said}")
        time.sleep(0.05)


def _start(stack: ExitStack, slurm: Slurm, *words: str) -> None:
    with open(slurm.folder / f"{words[0]}.out", "wb") as out:
        process = subprocess.Popen(words, env=slurm.environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    stack.callback(_stop, process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _is_idle(slurm: Slurm) -> bool:
    done = subprocess.run(
        ["sinfo", "--noheader", "--format=%T"], env=slurm.environment, capture_output=True, text=True, check=False
    )
    return done.returncode == 0 and done.stdout.strip() == "idle"


def _cancel_all(slurm: Slurm) -> None:
    """End what is left, so that no process outlives the cluster."""
    subprocess.run(["scancel", "--full", "--user=root", "--signal=KILL"], env=slurm.environment, check=False)
    subprocess.run(["scancel", "--user=root"], env=slurm.environment, check=False)
    end = time.monotonic() + 20
    while time.monotonic() < end and slurm.call("squeue", "--noheader"):
        time.sleep(0.1)


def _free_ports(n: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
