"""What Slurm would refuse is said before the first job, by what its commands print; none is needed here."""

import os
from pathlib import Path

import pytest

from lrsms.execution.slurm import check


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of Slurm's commands, which print nothing, alone on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sbatch", "sinfo", "squeue", "sacctmgr", "scontrol"):
        prints(folder, name, "")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return folder


def prints(folder: Path, name: str, text: str, status: int = 0) -> None:
    (folder / name).write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {status}\n")
    (folder / name).chmod(0o755)


def refusal(partition: str | None, account: str | None) -> str:
    with pytest.raises(ValueError) as error:
        check([partition], [account])
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_slurm_does_not_tell_is_not_refused(cluster: Path) -> None:
    check([None], [None])
    check(["gpu"], ["mine"])
    check(["'gpu' if attempt == 1 else 'long'"], ["mine"])


@pytest.mark.parametrize("name", ["sbatch", "sinfo", "squeue"])
def test_a_missing_command_is_named(cluster: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (cluster / name).unlink()
    for needed in ("sh", "cat"):  # and nothing else that is installed here, such as Slurm
        (cluster / needed).symlink_to(Path("/bin", needed))
    monkeypatch.setenv("PATH", str(cluster))
    assert refusal(None, None).startswith(f"{name} is not found on this machine")


def test_a_partition_that_does_not_exist_is_named_with_those_that_do(cluster: Path) -> None:
    prints(cluster, "sinfo", "gpu\nlong*")
    check(["gpu", "long", "gpu,long", None], [None])
    assert "slurm_partition 'gpuu': the cluster has no such partition; it has gpu, long" in refusal("gpuu", None)


def test_a_missing_partition_is_asked_for_where_there_is_no_default(cluster: Path) -> None:
    prints(cluster, "sinfo", "gpu\nlong")
    assert refusal(None, None).startswith(
        "slurm_partition is missing: the cluster has no default partition; give one of gpu"
    )


def test_an_account_that_is_not_the_users_is_named_with_those_that_are(cluster: Path) -> None:
    prints(cluster, "sacctmgr", "   Mine\n  ours ")
    check([None], ["mine", "ours", None])
    assert "slurm_account 'theirs': you have no such account; you have mine, ours" in refusal(None, "theirs")


def test_a_missing_account_is_asked_for_where_none_is_known_and_one_is_needed(cluster: Path) -> None:
    prints(cluster, "scontrol", "AccountingStorageEnforce = associations,limits")
    assert refusal(None, None).startswith("slurm_account is missing")
    prints(cluster, "sacctmgr", "mine")  # Slurm knows a default
    check([None], [None])


def test_a_controller_that_does_not_answer_is_said(cluster: Path) -> None:
    (cluster / "sinfo").write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2\nexit 1\n")
    assert "Slurm does not answer (Unable to contact slurm controller)" in refusal(None, None)
    prints(cluster, "sinfo", "long*")
    prints(cluster, "sacctmgr", "", status=1)  # no accounting
    check([None], ["mine"])
