"""A step time is shown with its device, and what was timed on two devices is told apart."""

import json
from pathlib import Path

import fabricate
import pandas as pd
import pytest
from test_tables import rows

from lrsms.record.metrics import WORDS
from lrsms.report import aggregate, tables
from lrsms.report.figures.material import describe_devices
from lrsms.report.finding import Compared, Threshold
from lrsms.report.summary import Summary, summarise
from lrsms.report.verdict_table import effects
from lrsms.report.verdicts import judge
from lrsms.statistics.stats import Interval

HERE = "CPU, 2 threads, 640 frames, float32"
THERE = "H100, 2 threads, 640 frames, float32"


def study(folder: Path, elsewhere: int) -> Path:
    """Tables of the demonstration, so many of whose step times were measured on another device."""
    experiments, records, steptimes = fabricate.demo_study(folder)
    for path in sorted(steptimes.iterdir())[:elsewhere]:
        path.write_text(json.dumps(json.loads(path.read_text()) | {"device": "H100"}))
    aggregate.aggregate(experiments, records, steptimes, fabricate.DECODING, folder / "out")
    tables.write(folder / "out")
    return folder / "out"


@pytest.mark.parametrize("elsewhere", [0, 1])
def test_each_cell_of_the_complete_table_names_the_device(tmp_path: Path, elsewhere: int) -> None:
    table = pd.read_csv(study(tmp_path, elsewhere) / "table.csv").dropna(subset=["step_ms"])
    assert set(table["steptime_device"]) == ({HERE, THERE} if elsewhere else {HERE})


def test_one_device_is_named_once(tmp_path: Path) -> None:
    text = (study(tmp_path, 0) / "table.md").read_text()
    assert f"Training step: {HERE}; speed-up" in text and "on" not in rows(text)[0]
    assert describe_devices(summary(tmp_path)) == [f"Measured on: {HERE}."]


def test_cells_of_several_devices_are_told_apart(tmp_path: Path) -> None:
    text = (study(tmp_path, 1) / "table.md").read_text()
    found = summary(tmp_path)
    places = {row["on"] for row in rows(text) if row["speed-up [95%]"]}
    assert places <= {"(1)", "(2)"} and "step ms" not in rows(text)[0]
    assert f"(1) {found.devices[0]}, (2) {found.devices[1]}" in text
    assert "Times and speed-ups on 2 devices do not compare." in text
    measured, _ = describe_devices(found)
    for cell in found.cells:
        device = cell.steptime_device
        assert f"{device} (" in measured and cell.name in measured.partition(f"{device} (")[2].partition(")")[0]


def test_what_a_speed_up_could_be_at_most_stands_beside_it(tmp_path: Path) -> None:
    experiments, records, steptimes = fabricate.demo_study(tmp_path)
    counted = {"multiply_adds": 1.526, "bytes": 1.07}
    for path in steptimes.iterdir():
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | {"ceiling": None if content["baseline"] else counted}))
    aggregate.aggregate(experiments, records, steptimes, fabricate.DECODING, tmp_path / "out")
    shown = tables.readable(summary(tmp_path), 1000)
    most = dict(
        zip(*(column.texts for column in shown.columns if column.header in ("targets", "at most")), strict=True)
    )
    assert most.pop("dense") == "" and set(most.values()) == {"1.53 / 1.07"}
    assert any(note.startswith("At most: ") for note in shown.notes)
    complete = tables.complete(summary(tmp_path))
    assert set(complete["speedup_by_macs"].dropna()) == {1.526}
    assert "at most" not in (study(tmp_path / "before", 0) / "table.md").read_text()


@pytest.mark.parametrize("counted", [3, {"bytes": 1.0}, {"multiply_adds": 0, "bytes": 1.0}])
def test_a_ceiling_that_cannot_be_is_refused(tmp_path: Path, counted: object) -> None:
    experiments, records, steptimes = fabricate.demo_study(tmp_path)
    paths = [path for path in steptimes.iterdir() if not json.loads(path.read_text())["baseline"]]
    paths[0].write_text(json.dumps(json.loads(paths[0].read_text()) | {"ceiling": counted}))
    with pytest.raises(ValueError, match=rf"{paths[0].name}: 'ceiling[^\n]*; delete it to measure again$") as error:
        aggregate.aggregate(experiments, records, steptimes, fabricate.DECODING, tmp_path / "out")
    assert str(error.value).count(paths[0].name) == str(error.value).count("delete it") == 1


def summary(folder: Path) -> Summary:
    return summarise(folder / "out")


def test_a_verdict_on_speed_names_the_device() -> None:
    compared = Compared(speedup=1.2, speedup_interval=Interval(1.1, 1.3), device=HERE)
    found = judge("faster", compared, Threshold(speedup=1.4))
    assert (found.verdict, found.device) == ("contradicted", HERE)
    outcome = type("Outcome", (), {"findings": [found], "metric": WORDS})()
    assert effects(outcome) == f"1.20 [1.10, 1.30] times as fast on {HERE}"
