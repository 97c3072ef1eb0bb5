"""The tokenizer as an axis on a real corpus: from its recordings to one table, and what is refused on the way."""

import json

import nano
import pytest
import torch
import yaml
from talking import make

from lrsms.__main__ import main
from lrsms.base.strict import parse
from lrsms.report.aggregate import read_runs
from lrsms.study import expand
from lrsms.study.project import Project

PRESET = nano.PRESET | {"train": nano.PRESET["train"] | {"steps": 1, "snapshots": 1, "average": 1}}
GRIDS = [{"seed": [1]}, {"tokenizer": [{"kind": "unigram", "pieces": 6}], "seed": [1]}]


@pytest.mark.slow
def test_characters_and_pieces_meet_in_one_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, content in (
        ("presets/nano-asr", PRESET),
        ("corpora/few", {"kind": "manifest"}),
        ("studies/sizes", {"question": "Which?", "grids": GRIDS}),
    ):
        path = tmp_path / f"workflow/config/{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content, sort_keys=False))
    root = make(tmp_path / "root")
    project = parse(Project, nano.PROJECT | {"roots": {"few": str(root)}}, "test")
    given = ["--project", project.model_dump_json()]
    experiments = expand.load(project)
    for experiment in experiments:
        folder = tmp_path / "results/runs" / experiment.name
        hypotheses = folder / project.decoding.hypotheses
        record = tmp_path / "results/records" / experiment.name / project.decoding.scores
        assert main(["resolve", *given, experiment.name, str(folder / "config.json")]) == 0
        assert main(["prepare", *given, f"results/corpora/{experiment.run.prepared}"]) == 0
        assert main(["train", "--device", "cpu", str(folder)]) == 0
        assert main(["decode", *given, "--device", "cpu", str(folder), str(hypotheses)]) == 0
        assert main(["score", str(folder), str(hypotheses), str(record)]) == 0
        torch.set_num_threads(1)
    capsys.readouterr()
    assert main(["aggregate", *given, "out", "out/runs-0.txt"]) == 0
    assert "warning" not in capsys.readouterr().err
    runs = read_runs(tmp_path / "out")
    assert set(runs["status"]) == {"finished"} and runs["run"].nunique() == 2
    outcome = tmp_path / "results/records" / experiments[1].name / "run.json"
    outcome.write_text(json.dumps(json.loads(outcome.read_text()) | {"source_hash": "other"}))
    assert main(["aggregate", *given, "out", "out/runs-0.txt"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "which cannot be compared" in error and "delete" not in error
