"""The runs of a study that comes with this repository."""

from pathlib import Path

from lrsms.base.strict import parse
from lrsms.base.yamlfile import read_yaml
from lrsms.study import expand
from lrsms.study.expand import Experiment
from lrsms.study.project import Project

ROOT = Path(__file__).parents[1]


def experiments_of(study: str, scale: str, corpus: str) -> list[Experiment]:
    """The runs of a study's ASR models, as the shipped ``config.yaml`` has them decoded."""
    folder = ROOT / expand.CONFIG_FOLDER
    path = folder / "config.yaml"
    asked = {"study": study, "task": "asr", "scale": scale, "corpus": corpus}
    return list(expand.load(parse(Project, read_yaml(path) | asked, str(path)), folder))
