"""A speed-up is stated with the precision, mode, frames and device that it was measured in."""

import json
from pathlib import Path

import pytest

from lrsms.record.setting import Setting

COMMITTED = sorted((Path(__file__).parents[2] / "results/steptime").glob("*.json"))
CONTENT = {"precision": "bfloat16", "mode": "graphs", "frames": 1600, "device": "NVIDIA H100"}


def test_a_setting_is_said_in_words() -> None:
    assert str(Setting.of(CONTENT)) == "in bfloat16, graphs, steps of 1,600 frames, on NVIDIA H100"


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_every_step_time_that_is_kept_has_one(path: Path) -> None:
    content = json.loads(path.read_bytes())
    setting = Setting.of(content)
    assert setting.mode == content.get("mode", "eager") and (setting.mode == "eager" or "NVIDIA" in setting.device)
    assert (setting.frames, setting.device) == (content["frames"], content["device"])


@pytest.mark.parametrize(("key", "value"), [("frames", "max"), ("precision", None), ("device", 3)])
def test_half_a_setting_is_none(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"'{key}'"):
        Setting.of(CONTENT | {key: value})
