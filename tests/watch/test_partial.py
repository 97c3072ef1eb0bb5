"""A study of which some runs fail: the others are finished, the table says what is missing and why, and it goes on."""

import shutil
from pathlib import Path

import pytest
from scratch import CORPUS, PRESET, ROOT, STUDY, planned, snakemake

from lrsms.base.strict import parse
from lrsms.base.yamlfile import read_yaml
from lrsms.study import expand
from lrsms.study.project import Project

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the scratch study, of which nothing has run."""
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow", ignore=shutil.ignore_patterns("local.yaml"))
    config = tmp_path / "workflow/config"
    (config / "corpora/small.yaml").write_text(CORPUS)
    (config / "presets/test-asr.yaml").write_text(PRESET)
    (config / "studies/scratch.yaml").write_text(STUDY)
    return tmp_path


def test_the_others_are_finished_and_a_later_call_runs_only_what_failed(folder: Path) -> None:
    config = folder / "workflow/config"
    asked = {"study": "scratch", "scale": "test", "corpus": "small"}
    project = parse(Project, read_yaml(config / "config.yaml") | asked, "config.yaml")
    dense, lowrank = expand.load(project, config)
    broken = folder / "results/runs" / lowrank.name
    broken.mkdir(parents=True)
    (broken / "config.json").write_text("{}")
    done = snakemake(folder)
    assert done.returncode != 0
    assert (folder / "results/records" / dense.name).is_dir()
    missing = f"{lowrank.cell}, seed 1: failed: results/runs/{lowrank.name}/config.json: key 'scale' is missing"
    assert missing in done.stderr
    table = (folder / "results/logs/partial-scratch-asr-test-small/table.md").read_text()
    assert table.endswith(f"- Missing: {missing}\n")
    assert "'-': not finished." in table
    assert not (folder / "results/scratch-asr-test-small").exists()

    shutil.rmtree(broken)
    one_each = dict.fromkeys(("resolve", "train", "decode", "score", "aggregate", "tables", "figures"), 1)
    assert planned(folder) == one_each
    done = snakemake(folder)
    assert done.returncode == 0, done.stderr
    assert "Missing" not in (folder / "results/scratch-asr-test-small/table.md").read_text()
