"""What is given to make reaches the commands as it is."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def commands(target: str, *settings: str) -> list[list[str]]:
    """What make would run, as the shell would read it; the environment is taken to be ready."""
    command = ["make", "--dry-run", "--assume-old", ".venv/.ready", target, *settings]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stdout.replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if "lrsms" in line and not line.startswith("make")]


@pytest.mark.parametrize("root", ["/it's here", "/two  blanks", "/$HOME and $$", '/"quoted" `id`; true'])
def test_roots_are_passed_on_as_they_are(root: str) -> None:
    text = f"{{mine: {root}}}"
    (asked, *_) = commands("regenerate", f"roots={text}", "study=pair")
    assert asked[asked.index("--config") + 1 :] == ["study=pair", f"roots={text}"]
    (asked,) = commands("cpu-results", f"roots={text}")
    assert asked[asked.index("--roots") + 1] == text


def test_without_settings_nothing_is_passed_on() -> None:
    assert all("--config" not in asked for asked in commands("report"))


def test_the_site_goes_into_a_folder_that_git_ignores() -> None:
    (asked,) = commands("site")
    assert asked[-2:] == ["site", "site"] and "/site/" in (ROOT / ".gitignore").read_text().splitlines()


def test_no_command_hides_why_it_failed() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert "--quiet all" not in makefile
    for target in ("report", "regenerate"):
        assert all("watch" in asked for asked in commands(target))


@pytest.mark.parametrize("linked", [False, True])
def test_clean_says_what_it_removes_and_what_stays_before_it_does(tmp_path: Path, linked: bool) -> None:
    """Runs may lie on another disk: what a link leads to is removed, and the link stays."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    if linked:
        (tmp_path / "disk").mkdir()
        (tmp_path / "results").mkdir()
        (tmp_path / "results/runs").symlink_to(tmp_path / "disk")
    for run in ("one", "two"):
        (tmp_path / "results/runs" / run).mkdir(parents=True)
        (tmp_path / "results/runs" / run / "weights.safetensors").write_bytes(bytes(1000))
    (tmp_path / "results/records/one").mkdir(parents=True)
    for flag in (["--dry-run"], []):
        done = subprocess.run(
            ["make", "--no-print-directory", "clean", *flag], cwd=tmp_path, capture_output=True, text=True, check=True
        )
    *said, removal = done.stdout.splitlines()
    assert removal.startswith("for folder in results/runs results/corpora results/logs .snakemake; do")
    assert [line.split("\t")[1] for line in said if "\t" in line] == [
        "results/runs",
        *(f"{name} (not there)" for name in ("results/corpora", "results/logs", ".snakemake")),
    ]
    assert "the weights of 2 runs" in done.stdout and "These stay: results/records" in done.stdout
    assert (tmp_path / "results/runs").exists() is linked and (tmp_path / "results/records/one").is_dir()
    assert not linked or not list((tmp_path / "disk").iterdir())
