"""Committed results are made again from the records alone, to the byte, and nothing is trained for them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import fabricate_project
import pytest
from fabricate_project import NAME, ROOT

from lrsms.__main__ import main


def snakemake(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    """How many jobs of each rule a dry run plans."""
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", snakemake(folder, "--dry-run", *arguments), flags=re.MULTILINE))
    return {rule: int(count) for rule, count in jobs.items() if rule not in ("job", "total", "all")}


def derived(folder: Path) -> dict[str, bytes]:
    """Everything that is made from records; of the figures, the captions and one kind of picture."""
    paths = [*folder.glob("results/*-*-*-*/*"), *folder.glob("figures/**/*.rst"), *folder.glob("figures/**/*.pdf")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.name != "project.json"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose records are fabricated and whose results are made of them by the workflow."""
    folder = tmp_path_factory.mktemp("regenerate")
    _, experiments = fabricate_project.write_project(folder)
    fabricate_project.record(folder, experiments)
    assert set(planned(folder)) == {"aggregate", "tables", "claims", "figures"}
    snakemake(folder)
    return folder


def test_the_results_say_what_they_are_made_of(finished: Path) -> None:
    content = json.loads((finished / "results" / NAME / "project.json").read_text())
    assert "roots" not in content
    assert set(content["conditions"]) == {"asr"} and list(content["decoders"]) == ["greedy", "beam"]


@pytest.mark.slow
def test_regenerating_brings_every_byte_back_without_training(finished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished, tmp_path / "clone")
    before = derived(folder)
    assert {Path(name).name for name in before} >= {"table.csv", "table.md", "table.tex", "claims.csv", "claims.md"}
    for name in before:
        (folder / name).unlink()
    for local in (".snakemake", "results/logs", "figures"):
        shutil.rmtree(folder / local)
    assert planned(folder, "regenerate") == {"regenerate": 1}
    snakemake(folder, "regenerate")
    assert derived(folder) == before
    assert planned(folder) == {}, "what was made again counts as made"
    assert planned(folder, "regenerate") == {"regenerate": 1}


def test_other_claims_are_judged_anew_and_nothing_is_trained(finished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished, tmp_path / "clone")
    path = folder / "workflow/config/claims.yaml"
    path.write_text(path.read_text().replace("margin: 0.1", "margin: 0.2"))
    assert set(planned(folder)) == {"aggregate", "tables", "claims", "figures"}


def test_the_report_shows_the_verdicts_first(finished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished, tmp_path / "clone")
    snakemake(folder, "--report", "report.html")
    page = (folder / "report.html").read_text()
    assert all(category in page for category in ("1 Verdicts", "2 Tables", "3 Figures"))  # sorted when it is shown
    assert "stated in" in page and "claims.yaml" in page


def test_a_project_of_another_folder_is_refused_in_one_line(finished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished, tmp_path / "clone")
    (folder / "results" / NAME).rename(folder / "results/other-asr-demo-speech")
    command = [sys.executable, "-m", "lrsms", "regenerate", "results/other-asr-demo-speech"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: results/other-asr-demo-speech/project.json: is of '{NAME}', not of this folder; undo the change\n"
    )


def test_nothing_committed_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--config-folder", str(ROOT / "workflow/config"), "regenerate", "--results", str(tmp_path)])
    assert capsys.readouterr().out.startswith("nothing to regenerate: ")
