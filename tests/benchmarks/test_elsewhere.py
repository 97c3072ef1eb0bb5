"""Figures of step times that another machine measured: what its files say, and of one device alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from small import small_run

from benchmarks import index
from benchmarks.elsewhere import figures_of
from lrsms.base.files import write_json
from lrsms.cost.stepbench import SMALL, measure_grid
from lrsms.cost.steptime import step_time

CPU = torch.device("cpu")
LOWRANK = {"targets": ["encoder.feedforward"], "ratio": 0.25}


@pytest.fixture
def measured(tmp_path: Path) -> dict[str, Any]:
    """A step time's file, and one of the dense network's own."""
    content = step_time(small_run(LOWRANK), small_run(), CPU, 0.0)
    write_json(tmp_path / "paper-asr-0123456789.json", content)
    write_json(tmp_path / "paper-asr-abcdef0123.json", step_time(small_run(), small_run(), CPU, 0.0))
    return content


def test_a_speed_up_is_that_of_its_pairs_and_names_its_setting(tmp_path: Path, measured: dict[str, Any]) -> None:
    content = figures_of(sorted(tmp_path.glob("*.json")))
    (figure,) = content["figures"]
    assert figure["name"] == "paper-asr, 2 groups of 40 frames, float32, eager, 0.25 kept: speed over dense"
    low, high = figure["details"]["speedup_interval"]
    assert low <= figure["value"] <= high and figure["aim"] == "> 1.3"
    assert content["device"] == measured["device"] and content["provenance"] == measured["provenance"]
    write_json(tmp_path / "bench/stepbench-cuda.json", content)
    assert figure["name"] in index.render(tmp_path / "bench")


def test_rows_for_which_no_time_was_left_are_no_figures(tmp_path: Path) -> None:
    result = measure_grid(SMALL, {"tiny-asr": small_run()}, CPU, 0.0)
    write_json(tmp_path / "stepbench.json", result.plain())
    assert figures_of([tmp_path / "stepbench.json"])["figures"] == []


def test_files_of_several_devices_or_of_another_kind_are_refused(tmp_path: Path, measured: dict[str, Any]) -> None:
    path, other = tmp_path / "paper-asr-0123456789.json", tmp_path / "paper-asr-other.json"
    write_json(other, measured | {"device": "another"})
    with pytest.raises(ValueError, match="of another device"):
        figures_of([path, other])
    write_json(other, {"device": "another"})
    with pytest.raises(ValueError, match=r"other.json: is of neither lrsms stepbench nor lrsms steptime"):
        figures_of([other])
