"""The real workflow on runs that begin from trained weights: an earlier run is imported, and cut, and trained on."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from scratch import planned, scratch_project, shipped_project, snakemake

from lrsms.__main__ import main
from lrsms.base.files import write_json
from lrsms.data.prepare import prepare
from lrsms.data.prepared import Prepared
from lrsms.record.start import Start
from lrsms.study import expand
from lrsms.training.loop import train

pytestmark = pytest.mark.slow
TUNED = """
question: What is left of trained matrices that are cut, and what does training bring back?
grids:
  - "init_from, tokenizer": [[START, TOKENIZER]]
    "train.steps, train.snapshots, train.average": [[0, 1, 1]]
    seed: [1]
  - "init_from, tokenizer": [[START, TOKENIZER]]
    "train.steps, train.snapshots, train.average": [[2, 1, 1]]
    lowrank.targets: [[encoder.attention]]
    lowrank.ratio: [0.5]
    seed: [1]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the dense run of a study was trained and imported, and another study names it."""
    folder = tmp_path_factory.mktemp("begun from")
    config = scratch_project(folder, "lists: {}\n")
    asked = {"study": "scratch", "scale": "test", "corpus": "small", "task": "asr"}
    dense, *_ = expand.load(shipped_project(config).model_copy(update=asked), config)
    corpus, run = folder / "results/corpora" / dense.run.prepared, folder / "results/runs" / dense.name
    prepare(dense.run.corpus, dense.run.tokenizer, dense.run.model.modalities, None, corpus)
    write_json(run / "config.json", dense.run.model_dump(mode="json", exclude_none=True))
    train(dense.run, Prepared(corpus), run, torch.device("cpu"))
    start = folder / "results/starts/dense"
    assert main(["import", str(run), str(start), "--corpora", str(corpus.parent)]) == 0
    found = Start.read(start)
    text = TUNED.replace("START", f"'{found.digits}'").replace("TOKENIZER", found.tokenizer_setting())
    (config / "studies/tuned.yaml").write_text(text)
    return folder


def test_a_study_begins_from_an_imported_run(folder: Path) -> None:
    done = snakemake(folder, study="tuned")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(pd.read_csv(folder / "results/tuned-asr-test-small/table.csv")) == 2
    runs = [json.loads(path.read_text()) for path in (folder / "results/records").glob("*/run.json")]
    assert sorted(run["steps"] for run in runs) == [0, 2]
    content = json.loads((folder / "results/starts/dense/start.json").read_text())
    assert {run["init_from"]["weights_hash"] for run in runs} == {content["weights_hash"]}
    assert str(folder) not in json.dumps(runs)

    for path in (folder / "results/starts/dense").iterdir():
        path.touch()
    assert planned(folder, study="tuned") == {}, "files of another date are the same weights"
    for heavy in ("starts", "runs", "corpora", "tuned-asr-test-small"):
        shutil.rmtree(folder / "results" / heavy)
    assert set(planned(folder, study="tuned")) == {"aggregate", "tables", "figures"}, "records are enough"
