"""Studies in a scratch folder."""

import nano
import pytest
import yaml

from lrsms.base.strict import parse
from lrsms.study import expand
from lrsms.study.project import Project


@pytest.fixture
def load(tmp_path):
    """Expands the study of the given grids, and ``more`` keys, in a scratch folder; keywords change the project."""

    def load(grids, comment="", more=None, **project):
        for name, content in (
            ("presets/nano-asr", nano.PRESET),
            ("corpora/few", nano.CORPUS),
            ("studies/sizes", {"question": "What?", "grids": grids} | (more or {})),
        ):
            path = tmp_path / f"{name}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(comment + yaml.safe_dump(content, sort_keys=False))
        return expand.load(parse(Project, nano.PROJECT | project, "x"), tmp_path)

    return load
