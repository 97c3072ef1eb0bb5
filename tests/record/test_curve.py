"""The training curve of logs made up so that every mean is known, and of a run that was trained."""

import json
import math

import fabricate
import pandas
import pytest

from lrsms.record.curve import COLUMNS, halfway_and_end, read_curve, training_curve, write_curve


@pytest.fixture
def logs(tmp_path):
    """Writes the two logs of a run of so many steps, validated at ``snapshots``; the losses of step n are n and 2n."""

    def write(steps, snapshots=(), attention=True):
        metrics, timings = [], []
        for step in range(1, steps + 1):
            row = {"step": step, "epoch": step // 4, "loss": 1.0 * step, "ctc": 2.0 * step}
            row |= {"attention": 3.0 * step} if attention else {}
            row |= {"lr": 0.1 / step, "gradient_norm": 1e6 if step == 1 else 0.5 * step}
            row |= {"valid_loss": 10.0 - step, "valid_wer": 1 / step} if step in snapshots else {}
            metrics.append(row)
            timings.append({"step": step, "ms": 12.3, "waited_ms": 0.1, "frames": 100 + step})
        paths = tmp_path / "metrics.jsonl", tmp_path / "timings.jsonl"
        for path, rows in zip(paths, (metrics, timings), strict=True):
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return paths

    return write


def test_a_row_per_snapshot_of_what_was_trained_since_the_one_before(logs):
    curve = training_curve(*logs(8, snapshots=(3, 8)))
    assert tuple(curve.columns) == COLUMNS
    first, second = curve.to_dict("records")
    assert (first["step"], first["epoch"], second["step"], second["epoch"]) == (3, 0, 8, 2)
    assert (first["loss"], first["ctc"], first["attention"]) == (2, 4, 6)  # the means of 1, 2, 3 and twice, thrice
    assert (second["loss"], second["ctc"], second["attention"]) == (6, 12, 18)  # of 4 to 8
    assert (first["gradient_norm"], second["gradient_norm"]) == (1.5, 3.0)  # of 1e6, 1, 1.5: a median
    assert (first["frames"], second["frames"]) == (306, 836)
    assert (first["lr"], second["lr"]) == (0.1 / 3, 0.1 / 8)
    assert (first["valid_loss"], first["valid_wer"]) == (7, 1 / 3)
    assert (second["valid_loss"], second["valid_wer"]) == (2, 1 / 8)


def test_a_diverged_run_s_curve_ends_where_it_did(logs):
    curve = training_curve(*logs(5, snapshots=(3,)))
    assert curve["step"].tolist() == [3, 5]
    assert curve["loss"].tolist() == [2, 4.5]
    assert curve["valid_wer"].isna().tolist() == curve["valid_loss"].isna().tolist() == [False, True]


def test_a_run_that_diverged_before_its_first_snapshot_has_one_row(logs):
    curve = training_curve(*logs(2))
    assert curve["step"].tolist() == [2] and curve["valid_wer"].isna().all()


def test_a_run_that_diverged_at_once_has_no_row(logs, tmp_path):
    curve = training_curve(*logs(0))
    write_curve(tmp_path / "curve.csv", curve)
    assert (tmp_path / "curve.csv").read_text() == ",".join(COLUMNS) + "\n"
    assert read_curve(tmp_path / "curve.csv").empty


def test_the_file_is_read_back_to_six_digits(logs, tmp_path):
    curve = training_curve(*logs(8, snapshots=(3, 8), attention=False))
    write_curve(tmp_path / "curve.csv", curve)
    found = read_curve(tmp_path / "curve.csv")
    pandas.testing.assert_frame_equal(found, curve, rtol=1e-5)
    assert found["attention"].isna().all()
    assert (tmp_path / "curve.csv").read_text().splitlines()[1] == "3,0,306,2,4,,1.5,0.0333333,7,0.333333"


def test_a_trained_run_s_curve_ends_at_its_last_step(trained):
    curve = training_curve(trained / "metrics.jsonl", trained / "timings.jsonl")
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert curve["step"].tolist() == [row["step"] for row in rows if "valid_wer" in row] == [2, 4, 6, 8]
    assert curve["valid_wer"].tolist() == [row["valid_wer"] for row in rows if "valid_wer" in row]
    assert math.isclose(curve["loss"].mean(), sum(row["loss"] for row in rows) / 8, rel_tol=1e-12)


@pytest.mark.parametrize(
    ("steps", "snapshots", "expected"),
    [
        (8, (2, 4, 6, 8), (1 / 4, 1 / 8)),
        (9, (2, 4, 6, 8), (1 / 4, 1 / 8)),  # as of a diverged run: the steps since its last snapshot are not validated
        (7, (3, 5, 7), (1 / 3, 1 / 7)),  # half of 7 steps lies between 3 and 5
        (8, (8,), (None, 1 / 8)),
        (8, (), (None, None)),
    ],
)
def test_half_way_is_the_last_snapshot_before_the_half(logs, steps, snapshots, expected):
    found = halfway_and_end(training_curve(*logs(steps, snapshots)))
    assert [None if math.isnan(value) else value for value in found] == list(expected)


@pytest.mark.parametrize("damage", ['{"step": 9', "[1]", '{"step": 9, "frames": "many"}', "{}", ""])
def test_a_damaged_log_is_refused_by_its_line(logs, damage):
    metrics, timings = logs(8)
    timings.write_text(timings.read_text() + damage + "\n")
    with pytest.raises(ValueError, match=r"timings.jsonl, line 9: not a step with step, frames; delete the log"):
        training_curve(metrics, timings)


def test_logs_of_other_steps_are_refused(logs):
    metrics, timings = logs(8)
    timings.write_text("".join(timings.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ValueError, match=r"timings.jsonl: has other steps than .*metrics.jsonl"):
        training_curve(metrics, timings)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", ",".join(COLUMNS) + "\nx" + "," * 9 + "\n", "\ufffd"])
def test_refuses_what_is_not_a_curve(tmp_path, content):
    (tmp_path / "curve.csv").write_text(content)
    with pytest.raises(ValueError, match=r"curve.csv: not a training curve \(.*\); restore it") as refusal:
        read_curve(tmp_path / "curve.csv")
    assert "\n" not in str(refusal.value)


def test_a_fabricated_curve_is_written_alike(tmp_path):
    write_curve(tmp_path / "curve.csv", fabricate.curve(0.1))
    assert read_curve(tmp_path / "curve.csv")["valid_wer"].iloc[-1] == 0.1
