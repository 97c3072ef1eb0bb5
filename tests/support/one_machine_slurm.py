"""A real Slurm on this machine for the tests of it: Debian's daemons, without systemd, accounting or cgroups.

Everything lies in one folder, except for the two links in /etc/slurm: Snakemake's job steps forget ``SLURM_CONF``.
"""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

DAEMONS = ("munged", "slurmctld", "slurmd")
SYSTEM = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf")
SECONDS = 30.0

needs_a_plain_path = pytest.mark.skipif(
    shlex.quote(sys.executable) != sys.executable,
    reason="Python's path has a blank: from there no job is submitted",
)

# MinJobAge: ended jobs are remembered for the tests, and for Snakemake, which waits for ever for a forgotten one.
_CONFIG = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/spool/controller
SlurmdSpoolDir={folder}/spool/node
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
MpiDefault=none
ReturnToService=2
MinJobAge=7200
KillWait=10
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} Boards=1 SocketsPerBoard=1 CoresPerSocket={cores} ThreadsPerCore=1 \
RealMemory=8000 State=UNKNOWN Gres=gpu:test:2
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
# Stand-ins: a GPU is any device file. Nothing opens them.
_GPUS = "Name=gpu Type=test File=/dev/null\nName=gpu Type=test File=/dev/zero\n"

# What Snakemake's plugin asks where jobs are not accounted for.
_SACCT = """#!/bin/sh
name=
while [ $# -gt 0 ]; do [ "$1" = --name ] && name=$2; shift; done
[ -z "$name" ] || squeue --states=all --noheader --format='%i|%T' --name "$name"
"""


class Unavailable(Exception):
    """Slurm cannot run here; the message says why."""


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Starts Slurm in ``folder``, with one node of two stand-in GPUs, and ends it and its jobs afterwards.

    Yields:
        The environment in which its commands are to be called.

    Raises:
        Unavailable: Slurm is not installed, this is not root, or this machine belongs to a cluster.
        RuntimeError: an installed daemon does not start.
        TimeoutError: the daemons are there, but no node is.
    """
    _refuse()
    configuration = folder / "etc"
    for name in ("etc", "bin", "spool/controller", "spool/node"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    values = {"host": socket.gethostname().split(".")[0], "ports": _free_ports(2), "cores": os.cpu_count()}
    (configuration / "slurm.conf").write_text(_CONFIG.lstrip().format(folder=folder, **values))
    (configuration / "gres.conf").write_text(_GPUS)
    (folder / "bin/sacct").write_text(_SACCT)
    (folder / "bin/sacct").chmod(0o755)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_", "SRUN_"))}
    environment["PATH"] = f"{folder / 'bin'}:{environment['PATH']}"
    with _installed(configuration):
        try:
            _start(folder)
            yield environment
        finally:
            _stop(folder)


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Waits for something that others bring about.

    Raises:
        TimeoutError: it has not come.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.1)


def ask(*command: str) -> str:
    """What a command of Slurm prints, nothing where it fails."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _refuse() -> None:
    missing = [name for name in (*DAEMONS, "sbatch", "srun", "squeue") if shutil.which(name) is None]
    if missing:
        raise Unavailable(f"{missing[0]} is not installed (apt-get install slurm-wlm munge)")
    if os.geteuid() != 0:
        raise Unavailable("its daemons need root")
    for name in FILES:
        if (SYSTEM / name).is_file() and not (SYSTEM / name).is_symlink():
            raise Unavailable(f"{SYSTEM / name} is there: this machine belongs to a cluster")
    if ask("pidof", "slurmctld", "slurmd"):
        raise Unavailable("another Slurm is running")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def _installed(configuration: Path) -> Iterator[None]:
    """Links the configuration into /etc/slurm, and puts back what links were there."""
    made = not SYSTEM.exists()
    SYSTEM.mkdir(parents=True, exist_ok=True)
    before = {name: os.readlink(SYSTEM / name) for name in FILES if (SYSTEM / name).is_symlink()}
    try:
        for name in FILES:
            (SYSTEM / name).unlink(missing_ok=True)
            (SYSTEM / name).symlink_to(configuration / name)
        yield
    finally:
        for name in FILES:
            (SYSTEM / name).unlink(missing_ok=True)
            if name in before:
                (SYSTEM / name).symlink_to(before[name])
        if made:
            SYSTEM.rmdir()


def _start(folder: Path) -> None:
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    munge = {"key-file": key, "socket": folder / "munge.socket", "pid-file": folder / "munged.pid"}
    munge |= {"log-file": folder / "munged.log", "seed-file": folder / "munged.seed"}
    # Force: temporary folders are private, which is no harm where there is one user.
    options = [f"--{name}={path}" for name, path in munge.items()]
    for command in (["munged", "--force", *options], ["slurmctld"], ["slurmd"]):
        with (folder / "start.log").open("ab") as log:
            if subprocess.run(command, stdout=log, stderr=log, check=False).returncode:
                raise RuntimeError(f"{command[0]} does not start; see {folder}")
    wait_until(lambda: ask("sinfo", "-h", "-o", "%T") == "idle", SECONDS, f"no idle node; see {folder}")


def _stop(folder: Path) -> None:
    if (folder / "slurmctld.pid").is_file():
        ask("scancel", "--user=root")
        with suppress(TimeoutError):
            wait_until(lambda: not ask("squeue", "-h"), SECONDS, "jobs do not end")
    for name in reversed(DAEMONS):
        path = folder / f"{name}.pid"
        if path.is_file() and (text := path.read_text().strip()):
            with suppress(ProcessLookupError):
                os.kill(int(text), signal.SIGTERM)
                wait_until(lambda process=Path("/proc") / text: not process.exists(), SECONDS, f"{name} does not end")
