"""A folder with the real workflow, a small study of it, and fabricated records: for tests of reports."""

import shutil
from pathlib import Path
from typing import Any

import fabricate
import yaml

from lrsms.base.strict import parse
from lrsms.study import expand
from lrsms.study.expand import Experiment
from lrsms.study.project import Project

ROOT = Path(__file__).parents[2]
NAME = "few-asr-demo-speech"
STUDY: dict[str, Any] = {
    "question": "Is <b>less</b> *more*, or |not|_?",
    "grids": [
        {"seed": [1, 2, 3]},
        {"lowrank.targets": [["encoder.attention"]], "lowrank.ratio": [0.5, 0.12], "seed": [1, 2, 3]},
    ],
}
CLAIMS: dict[str, Any] = {
    "F1": {
        "finding": "Attention does not need its ranks",
        "study": "few",
        "group": {"lowrank.ratio": 0.12},
        "rules": ["parity", "fewer_parameters"],
        "margin": 0.1,
        "times_fewer": 1.1,
        "decoder": "beam",
        "conditions": ["test"],
    }
}


def write_project(
    folder: Path, content: dict[str, Any] = STUDY, claims: dict[str, Any] = CLAIMS
) -> tuple[Project, list[Experiment]]:
    """Configures a study in a copy of the workflow; nothing is recorded yet."""
    shutil.copytree(ROOT / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("local.yaml"))
    settings = folder / "workflow/config"
    preset = fabricate.run().model_dump(mode="json", include={"tokenizer", "model", "train"}, exclude_none=True)
    preset["model"]["decoder_layers"], preset["train"]["ctc_weight"] = 1, 0.5  # the beam search asks for a decoder
    decoding = fabricate.DECODING.model_dump(mode="json", exclude_none=True)
    project = {"study": "few", "task": "asr", "scale": "demo", "corpus": "speech", "decoders": decoding["decoders"]}
    project |= {"conditions": {"asr": decoding["conditions"]}}
    contents = {"config": project, "claims": claims, "studies/few": content, "presets/demo-asr": preset}
    for name, text in (contents | {"corpora/speech": {"kind": "manifest"}}).items():
        (settings / f"{name}.yaml").write_text(yaml.safe_dump(text, sort_keys=False))
    parsed = parse(Project, project, "test")
    return parsed, expand.load(parsed, settings)


def record(folder: Path, experiments: list[Experiment], **run_json: Any) -> None:
    """Records of these runs, and their step times."""
    for number, experiment in enumerate(experiments):
        fabricate.record(folder / "results/records", experiment, fabricate.scores(0.1, number), **run_json)
        fabricate.steptime(folder / "results/steptime", experiment)
