"""Jobs run in an image where one is named: the image's recipe, and what Snakemake calls, by a program in its place."""

import json
import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
from scratch import ROOT, scratch_project, snakemake

APPTAINER = """#!/bin/bash
# Runs what is asked for in the image, here without one, and notes the image.
if [ "$1" = --version ]; then echo "apptainer version 1.3.4"; exit; fi
case $1 in pull) for last; do :; done; echo pulled; exit;; esac
while [ "$1" != exec ]; do shift; done; shift
while [[ $1 == -* ]]; do case $1 in --bind|--home|-B) shift 2;; *) shift;; esac; done
echo "$1" >> {noted}
shift
PATH={python}:$PATH exec "$@"
"""


def recipe() -> str:
    return (ROOT / "workflow/envs/lrsms.def").read_text()


def test_the_recipe_has_the_sections_of_apptainer_once_and_takes_files_that_exist() -> None:
    sections = re.findall(r"^%(\w+)$", recipe(), flags=re.MULTILINE)
    assert sections == ["files", "post", "environment", "runscript", "test"]
    header = dict(re.findall(r"^(\w+): (\S+)$", recipe().partition("%files")[0], flags=re.MULTILINE))
    assert header["Bootstrap"] == "docker" and re.fullmatch(r"python:3\.\d+-slim-\w+", header["From"])
    taken = re.findall(r"^    (\S+) /build/\S+$", recipe(), flags=re.MULTILINE)
    assert taken == ["pyproject.toml", "constraints.txt"] and all((ROOT / name).is_file() for name in taken)


def test_the_recipe_has_a_python_that_lrsms_supports_and_asks_for_what_is_needed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    image = re.search(r"python:3\.(\d+)", recipe())
    oldest = re.fullmatch(r">=3\.(\d+)", project["requires-python"])
    assert image and oldest and int(image[1]) >= int(oldest[1])
    assert '["project"]["dependencies"]' in recipe() and "--constraint constraints.txt" in recipe()


@pytest.mark.slow
def test_jobs_run_in_the_image_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, programs, noted = tmp_path / "study", tmp_path / "programs", tmp_path / "noted.txt"
    scratch_project(study, "")
    programs.mkdir()
    fake = APPTAINER.replace("{noted}", str(noted)).replace("{python}", str(Path(sys.executable).parent))
    (programs / "apptainer").write_text(fake)
    (programs / "apptainer").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    done = snakemake(study, "--sdm", "apptainer")
    assert done.returncode == 1 and "error: --sdm apptainer needs an image: --config container=" in done.stderr
    image = study / "lrsms.sif"
    image.touch()
    (study / "workflow/config/local.yaml").write_text(json.dumps({"container": str(image)}))
    done = snakemake(study, "--sdm", "apptainer")
    assert done.returncode == 0, done.stdout + done.stderr
    images = noted.read_text().split()
    assert set(images) == {str(image)}
    assert len(images) > len(list((study / "results/records").iterdir()))
