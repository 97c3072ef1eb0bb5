"""Facts about logs of steps: they follow the checkpoints, whatever a killed process left of them."""

import pytest

from lrsms.training.steplog import log, open_log, sync, waited_share

LINES = '{"step": 1, "loss": 2.5}\n{"step": 2, "loss": 2.25}\n{"step": 3, "loss": 2.125}\n'


@pytest.mark.parametrize(
    "tail", ["", '{"step": 4, "lo', "\0\0\0\0", '{"step": 4, "loss": 1}\n\0\0\0\n{"step": 5}\n', "3\n", "{}\n"]
)
def test_a_log_is_cut_back_to_the_checkpoint(tmp_path, tail):
    path = tmp_path / "metrics.jsonl"
    path.write_text(LINES + tail)
    with open_log(path, 2) as file:
        log(file, {"step": 3, "loss": 2.0})
    assert path.read_text() == "".join(LINES.splitlines(keepends=True)[:2]) + '{"step": 3, "loss": 2.0}\n'


def test_a_new_run_begins_with_an_empty_log(tmp_path):
    path = tmp_path / "metrics.jsonl"
    open_log(path, 0).close()
    assert path.read_bytes() == b""
    path.write_text(LINES)
    open_log(path, 0).close()
    assert path.read_bytes() == b""


def test_a_reader_sees_a_line_at_once(tmp_path):
    with open_log(tmp_path / "x", 0) as file:
        log(file, {"step": 1})
        assert (tmp_path / "x").read_text() == '{"step": 1}\n'
        sync(file)


def test_a_line_is_json_to_every_reader(tmp_path):
    with open_log(tmp_path / "x", 0) as file, pytest.raises(ValueError):
        log(file, {"step": 1, "loss": float("nan")})


def test_the_share_that_was_waited_is_of_all_steps_together(tmp_path):
    path = tmp_path / "timings.jsonl"
    with open_log(path, 0) as file:
        log(file, {"step": 1, "ms": 300.0, "waited_ms": 90.0, "frames": 5})
        log(file, {"step": 2, "ms": 100.0, "waited_ms": 10.0, "frames": 5})
    assert waited_share(path) == 0.25
    path.write_text(path.read_text() + '{"step": 3, "ms"')
    assert waited_share(path) == 0.25


def test_without_a_step_nothing_is_known_of_waiting(tmp_path):
    assert waited_share(tmp_path / "timings.jsonl") is None
    open_log(tmp_path / "timings.jsonl", 0).close()
    assert waited_share(tmp_path / "timings.jsonl") is None
