"""Whether Slurm would take a study's jobs, found out before the first: its commands, the account, the partitions."""

import getpass
import re
import shutil
import subprocess
from collections.abc import Collection

SECONDS = 30.0
"""After which a command of Slurm has failed."""
_NEEDS_ACCOUNT = "AccountingStorageEnforce"
WHERE = "workflow/config/local.yaml, or --config"


def check(partitions: Collection[str | int | None], accounts: Collection[str | int | None]) -> None:
    """Ends quietly where jobs can be submitted, as far as Slurm tells.

    Args:
        partitions: that rules name; None of a rule that names none.
        accounts: likewise.

    Raises:
        ValueError: one line that says what is missing, and where it is given.
    """
    for command in ("sbatch", "sinfo", "squeue"):
        if shutil.which(command) is None:
            raise ValueError(
                f"{command} is not found on this machine: jobs are sent to Slurm from a login node of the cluster;"
                " elsewhere, leave --profile slurm out"
            )
    _check_partitions(partitions)
    _check_accounts(accounts)


def _check_partitions(named: Collection[str | int | None]) -> None:
    known = _said("sinfo", "--all", "--noheader", "--format=%P").split()
    names = {name.removesuffix("*") for name in known}
    if not names:  # nothing is known: sbatch will say
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
            f"slurm_partition is missing: the cluster has no default one; give one of {', '.join(sorted(names))} in"
            f" {WHERE}"
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
        raise ValueError(f"slurm_account is missing: this cluster takes no job without one; give yours in {WHERE}")


def _names(named: Collection[str | int | None]) -> list[str]:
    """What was named; an expression, which Snakemake works out for each job, is no name."""
    return sorted({str(text) for text in named if text is not None and re.fullmatch(r"[\w.,-]+", str(text))})


def _setting(name: str) -> str:
    for line in _said("scontrol", "show", "config", needed=False).splitlines():
        key, _, value = line.partition("=")
        if key.strip() == name:
            return value.strip()
    return ""


def _said(*command: str, needed: bool = True) -> str:
    """What a command of Slurm prints; nothing where it is not ``needed`` and fails, as without accounting."""
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
