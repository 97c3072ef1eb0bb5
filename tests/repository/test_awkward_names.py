"""What people call their folders and files reaches no shell; what becomes part of a file's name is of plain letters."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scratch import PRESET, ROOT, STUDY

from lrsms.base.strict import parse
from lrsms.base.yamlfile import read_yaml
from lrsms.data.manifest import read_tsv
from lrsms.study import expand
from lrsms.study.project import Project

AWKWARD = 'it\'s "my" $HOME; `touch hacked` & näme\n$(touch hacked) {run} *'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the workflow and a corpus ``mine`` of three recordings, in a folder with an awkward name."""
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow", ignore=shutil.ignore_patterns("local.yaml"))
    config = tmp_path / "workflow/config"
    (config / "corpora/mine.yaml").write_text("kind: manifest\n")
    (config / "presets/test-asr.yaml").write_text(PRESET)
    (config / "studies/scratch.yaml").write_text(STUDY)
    root = tmp_path / AWKWARD
    root.mkdir()
    lines = ["id\tsplit\taudio\tvideo\tspeaker\ttext"]
    for seed, split in enumerate(("train", "valid", "test")):
        name = f"$(touch hacked) '{split}'; é.wav"
        soundfile.write(root / name, np.random.default_rng(seed).normal(0, 0.1, 16000), 16000)
        lines.append(f"{split}\t{split}\t{name}\t\t`touch hacked`\tPLACE RED")
    (root / "manifest.tsv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def snakemake(folder: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    asked = {"study": "scratch", "scale": "test", "corpus": "mine"} | changes
    settings = ["--config", *(f"{key}={value}" for key, value in asked.items())]
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments, *settings]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("given", ["in config.yaml", "on the command line"])
@pytest.mark.slow
def test_a_root_may_be_called_anything(folder: Path, given: str) -> None:
    config = folder / "workflow/config"
    roots = json.dumps({"mine": str(folder / AWKWARD)})
    asked = {"study": "scratch", "scale": "test", "corpus": "mine"}
    project = parse(Project, read_yaml(config / "config.yaml") | asked, "config.yaml")
    prepared = Path("results/corpora") / expand.load(project, config)[0].run.prepared
    changes = {}
    if given == "in config.yaml":
        text = (config / "config.yaml").read_text()
        assert "roots: {}" in text
        (config / "config.yaml").write_text(text.replace("roots: {}", f"roots: {roots}"))
    else:
        changes["roots"] = roots
    done = snakemake(folder, str(prepared / "corpus.json"), **changes)
    assert done.returncode == 0, done.stderr
    assert [row.cells["id"] for row in read_tsv(folder / prepared / "manifest.tsv", ("id", "split"))] == [
        "train",
        "valid",
        "test",
    ]
    assert not list(folder.rglob("hacked"))


@pytest.mark.parametrize("key", ["study", "scale", "corpus"])
@pytest.mark.parametrize("name", ["a b", "a;touch hacked", "$(touch hacked)", "../a", "it's", "näme", "a\nb", "a-b"])
def test_a_name_that_becomes_part_of_a_files_is_made_of_plain_letters(key: str, name: str) -> None:
    content = read_yaml(ROOT / "workflow/config/config.yaml") | {key: name}
    with pytest.raises(ValueError, match=rf"^config.yaml: '{key}' is ") as refused:
        parse(Project, content, "config.yaml")
    assert "\n" not in str(refused.value)


def test_such_a_name_stops_the_workflow_with_one_line(folder: Path) -> None:
    done = snakemake(folder, "--dry-run", study="$(touch hacked)'; touch hacked")
    assert done.returncode != 0
    assert (done.stdout + done.stderr).strip().splitlines()[-1].startswith("error: workflow/config/config.yaml")
    assert "Traceback" not in done.stderr
    assert not list(folder.rglob("hacked"))
