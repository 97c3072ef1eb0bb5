"""Facts about the study in the documentation that begins from trained weights: it has the runs that it names."""

import re
from pathlib import Path

import nano
import pytest
import yaml

from lrsms.base.strict import parse
from lrsms.study import expand
from lrsms.study.project import Project

DOCS = Path(__file__).parents[2] / "docs/studies.md"
DIGITS = "0123456789abcdef"


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """Its runs, over a tiny preset that begins from weights."""
    text = re.search(r"^# workflow/config/studies/cut.yaml\n(.+?)^```", DOCS.read_text(encoding="utf-8"), re.M | re.S)
    given = {"kind": "given", "pieces": 30, "sha256": DIGITS}
    folder = tmp_path_factory.mktemp("config")
    for name, content in (
        ("presets/nano-asr", yaml.safe_dump(nano.PRESET | {"init_from": DIGITS, "tokenizer": given})),
        ("corpora/few", yaml.safe_dump(nano.CORPUS)),
        ("studies/cut", text[1]),
    ):
        path = folder / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    return expand.load(parse(Project, nano.PROJECT | {"study": "cut"}, "nano"), folder)


def test_it_has_what_it_says(cut):
    cells = list(dict.fromkeys(experiment.cell for experiment in cut))
    assert len(cut) == 3 * len(cells) and len(cells) == 2 + 6 + 3
    assert {experiment.run.train.steps for experiment in cut} == {0, 400, 1500}
    scratch = [experiment for experiment in cut if experiment.run.init_from is None]
    assert len(scratch) == 9 and all("init_fromoff" in experiment.name for experiment in scratch)
    assert all(experiment.baseline.init_from == DIGITS for experiment in cut)


def test_steps_take_as_long_wherever_they_begin(cut):
    """So their time is measured once."""
    of_one_shape = [e for e in cut if e.run.lowrank is not None and e.run.lowrank.ratio == 0.5]
    assert len({e.run.init_from for e in of_one_shape}) == 2
    assert len({e.steptime for e in of_one_shape}) == 1
