"""Checks before the first job whether Slurm would accept a study's jobs: its commands, the account, the partitions."""

import getpass
import re
import shutil
import subprocess
from collections.abc import Collection

SECONDS = 30.0
"""Seconds after which a command of Slurm counts as failed."""
_NEEDS_ACCOUNT = "AccountingStorageEnforce"
WHERE = "workflow/config/local.yaml, or --config"


def check(partitions: Collection[str | int | None], accounts: Collection[str | int | None]) -> None:
    """Returns if jobs can be submitted, as far as Slurm says.

    Args:
        partitions: the partitions that rules name; None for a rule that names none.
        accounts: the accounts, likewise.

    Raises:
        ValueError: one line that says what is missing, and where to give it.
    """
    for command in ("sbatch", "sinfo", "squeue"):
        if shutil.which(command) is None:
            raise ValueError(
                f"{command} is not found on this machine: start this on a login node of the cluster;"
                " on another machine, leave out --profile slurm"
            )
    _check_partitions(partitions)
    _check_accounts(accounts)


def _check_partitions(named: Collection[str | int | None]) -> None:
    known = _said("sinfo", "--all", "--noheader", "--format=%P").split()
    names = {name.removesuffix("*") for name in known}
    if not names:  # unknown here: sbatch will say
        return
    for text in _names(named):
        for name in text.split(","):
            if name not in names:
                raise ValueError(
                    f"slurm_partition '{name}': the cluster has no such partition; it has {', '.join(sorted(names))};"
                    f" give one of them in {WHERE}"
                )
    if None in named and not any(name.endswith("*") for name in known):
        raise ValueError(
            f"slurm_partition is missing: the cluster has no default partition; give one of"
            f" {', '.join(sorted(names))} in {WHERE}"
        )


def _check_accounts(named: Collection[str | int | None]) -> None:
    user = getpass.getuser()
    mine = _said("sacctmgr", "-n", "-s", "list", "user", user, "format=account%256", needed=False)
    accounts = {line.strip().lower() for line in mine.splitlines() if line.strip()}
    for text in _names(named):
        for name in text.split(","):
            if accounts and name.lower() not in accounts:
                raise ValueError(
                    f"slurm_account '{name}': you have no such account; you have {', '.join(sorted(accounts))}; give"
                    f" one of them in {WHERE}"
                )
    if None in named and not accounts and "associations" in _setting(_NEEDS_ACCOUNT):
        raise ValueError(f"slurm_account is missing: this cluster accepts no job without one; give yours in {WHERE}")


def _names(named: Collection[str | int | None]) -> list[str]:
    """The given names; an expression, which Snakemake evaluates for each job, is not a name."""
    return sorted({str(text) for text in named if text is not None and re.fullmatch(r"[\w.,-]+", str(text))})


def _setting(name: str) -> str:
    for line in _said("scontrol", "show", "config", needed=False).splitlines():
        key, _, value = line.partition("=")
        if key.strip() == name:
            return value.strip()
    return ""


def _said(*command: str, needed: bool = True) -> str:
    """The output of a command of Slurm; empty if it fails and is not ``needed``, as without accounting."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        said, failed = str(error), True
    else:
        said, failed = done.stderr.strip() or f"exit status {done.returncode}", done.returncode != 0
    if not failed:
        return done.stdout
    if needed:
        raise ValueError(f"{command[0]}: Slurm does not answer ({said.splitlines()[0]}); is its controller up?")
    return ""
