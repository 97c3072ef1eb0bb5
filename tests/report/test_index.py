from pathlib import Path

import pytest
from fabricate_project import record, write_project

from lrsms.report import index
from lrsms.report.results import folder_name


def row(folder: Path) -> dict[str, str]:
    lines = (folder / "results/README.md").read_text().splitlines()
    columns, values = ([cell.strip() for cell in line.split("|")[1:-1]] for line in (lines[-3], lines[-1]))
    return dict(zip(columns, values, strict=True))


def write(folder: Path, **run_json: object) -> dict[str, str]:
    project, experiments = write_project(folder)
    record(folder, experiments[:4], **run_json)
    results = folder / "results"
    entry = index.Entry(project, results / folder_name(project), experiments)
    index.write([entry], results, results / "records", results / "steptime")
    return row(folder)


def test_a_study_is_listed_with_how_it_was_made_and_by_what(tmp_path: Path) -> None:
    origin = {"date": "2026-11-23", "commit": "0123456789abcdef", "packages": {"torch": "2.11.0"}}
    found = write(tmp_path, device="a GPU", seconds=1800.0, provenance=origin)
    assert found["study"] == "[few-asr-demo-speech](few-asr-demo-speech/table.md)"
    assert found["runs done"] == "4 of 9"
    assert found["made by"] == "`snakemake --cores all --config study=few task=asr scale=demo corpus=speech`"
    assert found["training hours"] == "2.0"
    assert [found[name] for name in ("device", "date", "versions", "commit")] == [
        "a GPU", "2026-11-23", "torch 2.11.0", "0123456"
    ]  # fmt: skip


def test_a_training_that_other_runs_took_over_counts_once(tmp_path: Path) -> None:
    found = write(tmp_path, seconds=1800.0, sessions=[{"start": 0, "seconds": 1800.0}])
    assert found["training hours"] == "0.5"


def test_what_a_record_does_not_say_is_a_dash(tmp_path: Path) -> None:
    found = write(tmp_path, device=None, seconds=None, provenance={})
    assert [found[name] for name in ("device", "training hours", "date", "versions", "commit")] == ["-"] * 5


def test_a_torn_record_is_named(tmp_path: Path) -> None:
    project, experiments = write_project(tmp_path)
    record(tmp_path, experiments)
    results = tmp_path / "results"
    (results / "records" / experiments[0].name / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run\.json: not readable as JSON"):
        index.write(
            [index.Entry(project, results / "few", experiments)], results, results / "records", results / "steptime"
        )
