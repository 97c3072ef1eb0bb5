"""The real-time factor of decoding: of what it is made, and what is said of times that cannot be read."""

import json

import pytest

from lrsms.record.decoding_times import load_times, real_time_factors, times_path

TIMES = {
    "device": "processor",
    "threads": 1,
    "conditions": {
        "clean": {"audio_seconds": 30.0, "network_seconds": 2.0, "search_seconds": {"greedy": 0.0, "beam": 8.0}},
        "noisy": {"audio_seconds": 10.0, "network_seconds": 0.0, "search_seconds": {"greedy": 2.0, "beam": 10.0}},
    },
}


def test_is_all_processing_time_over_all_speech():
    assert real_time_factors(TIMES) == {"greedy": pytest.approx(4 / 40), "beam": pytest.approx(20 / 40)}


def test_nothing_decoded_has_none():
    assert real_time_factors({}) == real_time_factors({"conditions": {}}) == {}


def test_is_read_from_beside_the_scores(tmp_path):
    scores = tmp_path / "scores-0123abcd.csv.gz"
    assert load_times(scores) == {}
    (tmp_path / "scores-0123abcd.times.json").write_text(json.dumps(TIMES))
    assert load_times(scores) == TIMES
    assert times_path(tmp_path / "hypotheses-0123abcd.jsonl") == tmp_path / "hypotheses-0123abcd.times.json"


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"conditions": 3}', '{"conditions": {"clean": {}}}', '{"conditions": {"clean": {"audio_seconds": 0}}}'],
)
def test_damaged_times_are_named_in_one_line(tmp_path, content):
    (tmp_path / "scores-1.times.json").write_text(content)
    with pytest.raises(ValueError, match=r"scores-1.times.json: .*; restore it, or delete it to do without") as caught:
        load_times(tmp_path / "scores-1.csv.gz")
    assert "\n" not in str(caught.value)
