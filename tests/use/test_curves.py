"""Facts about curves: every number of the log is handed on, at its step."""

import json
import sys

import pandas as pd
import pytest

from lrsms.__main__ import main
from lrsms.record.run_files import METRICS
from lrsms.use.curves import steps, write_events


def logged(folder):
    return [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]


def test_a_table_has_every_step_of_every_run(trained, trained_lowrank, tmp_path, capsys):
    output = tmp_path / "new/curves.csv"
    assert main(["curves", str(trained), str(trained_lowrank), "--csv", str(output)]) == 0
    assert "16 steps of 2 runs" in capsys.readouterr().out
    table = pd.read_csv(output)
    for folder in (trained, trained_lowrank):
        part = table[table["run"] == folder.name]
        rows = logged(folder)
        assert part["loss"].tolist() == pytest.approx([row["loss"] for row in rows])
        assert part["valid_wer"].notna().tolist() == ["valid_wer" in row for row in rows]


def test_a_line_that_is_being_written_waits(tmp_path):
    (tmp_path / METRICS).write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    assert [row["step"] for row in steps(tmp_path)] == [1]


def test_a_torn_line_is_named(tmp_path, capsys):
    (tmp_path / METRICS).write_text('{"step": 1, "loss": 2.0}\nnothing\n{"step": 3}\n')
    assert main(["curves", str(tmp_path), "--csv", str(tmp_path / "out.csv")]) == 1
    assert "metrics.jsonl, line 2: is not a step" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["nowhere", "--csv", "x.csv"], "nowhere/metrics.jsonl: is not there"), (["nowhere"], "say where the curves go")],
)
def test_what_cannot_be_done_is_one_line(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["curves", *arguments]) == 1
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1


def test_without_tensorboard_it_says_what_to_install(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert main(["curves", str(trained), "--tensorboard", str(tmp_path / "board")]) == 1
    assert "TensorBoard is not installed; pip install 'lrsms[tensorboard]'" in capsys.readouterr().err
    assert not (tmp_path / "board").exists()


def test_tensorboard_reads_every_value(trained, tmp_path):
    pytest.importorskip("tensorboard", reason="the tensorboard extra is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    number = write_events([trained], tmp_path)
    board = EventAccumulator(str(tmp_path / trained.name), size_guidance={"scalars": 0})
    board.Reload()
    rows = logged(trained)
    events = board.Scalars("train/loss")
    assert [event.step for event in events] == [row["step"] for row in rows]
    assert [event.value for event in events] == pytest.approx([row["loss"] for row in rows])
    valid = [row for row in rows if "valid_wer" in row]
    assert [event.value for event in board.Scalars("valid/wer")] == pytest.approx([row["valid_wer"] for row in valid])
    assert sum(len(board.Scalars(tag)) for tag in board.Tags()["scalars"]) == number
    with pytest.raises(ValueError, match="has events already"):
        write_events([trained], tmp_path)
