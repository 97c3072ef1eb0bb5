"""Settings of how jobs are executed: where they are read from, and that they name no run."""

from pathlib import Path

import pytest
from scratch import ROOT

from lrsms.base.strict import parse
from lrsms.base.yamlfile import read_yaml
from lrsms.execution import local
from lrsms.execution.local import gres_of, load, num_gpus
from lrsms.study import expand
from lrsms.study.project import Project
from lrsms.study.run import Run
from lrsms.verbs.options import read_project

CONFIG = ROOT / "workflow/config"


def test_what_is_asked_for_comes_before_what_the_machine_has(tmp_path: Path) -> None:
    assert load({}, tmp_path, "here") == local.Execution()
    (tmp_path / "local.yaml").write_text("gpus: 2\nslurm_account: 12345\nslurm_partition: long\n")
    found = load({"gpus": 4, "study": "demo"}, tmp_path, "here")
    assert (found.gpus, found.slurm_account, found.slurm_partition) == (4, "12345", "long")


def test_a_file_of_comments_sets_nothing(tmp_path: Path) -> None:
    (tmp_path / "local.yaml").write_text("# gpus: 2\n")
    assert load({}, tmp_path, "here") == local.Execution()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpu: 4", "local.yaml: unknown key 'gpu'; did you mean 'gpus'?"),
        ("gpus: -1", "'gpus' is -1"),
        ("gpus: many", "'gpus' is \"many\""),
        ("gres: tesla:2", "'gres': must be gpu"),
        ("gres: gpu:2\ngpus: 4", "give the number once, as 'gpus'"),
        ("gres: gpu:2\ngpu_model: a100", "leave 'gpu_model' out"),
        ("slurm_partition: a b", "'slurm_partition': must be one word"),
        ("slurm_extra: --signal=USR1@60", "must be without --signal"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file_and_the_key(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "local.yaml").write_text(text)
    with pytest.raises(ValueError) as error:
        load({}, tmp_path, "here")
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("gres", "count"),
    [
        ("gpu", 1),
        ("gpu:4", 4),
        ("gpu:a100", 1),
        ("gpu:a100:2", 2),
        ("gpu:3g.20gb:2", 2),
        ("gpu:2080ti", 1),
        ("ssd:9", 0),
    ],
)
def test_gpus_are_counted_from_generic_resources(gres: str, count: int) -> None:
    assert num_gpus(gres) == count


def test_a_generic_resource_keeps_its_type_when_its_number_changes() -> None:
    assert [gres_of(gres, 4) for gres in ("gpu", "gpu:2", "gpu:a100", "gpu:a100:2")] == [
        "gpu:4",
        "gpu:4",
        "gpu:a100:4",
        "gpu:a100:4",
    ]


def test_no_setting_of_the_execution_is_part_of_a_run(tmp_path: Path) -> None:
    """The project that names runs, results and what is passed to jobs is the same with them and without."""
    assert not local.KEYS & (Project.model_fields.keys() | Run.model_fields.keys())
    content = CONFIG.joinpath("config.yaml").read_text()
    file = tmp_path / "config.yaml"
    file.write_text(f"{content}\ngpus: 4\ngres: gpu:a100\nslurm_account: mine\n")
    asked = read_project(str(file), CONFIG)
    assert asked == parse(Project, read_yaml(CONFIG / "config.yaml"), "config.yaml")
    assert [one.name for one in expand.load(asked, CONFIG)]
