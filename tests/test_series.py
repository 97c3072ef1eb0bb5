"""How cells are put together, named and placed in a figure."""

import fabricate
import pytest

from lrsms import aggregate, cells, series


@pytest.fixture
def summary(tmp_path):
    experiments = [experiment for _, experiment in fabricate.demo()]
    aggregate.aggregate(experiments, tmp_path, tmp_path, fabricate.DECODING, tmp_path / "out")
    return cells.summarise(tmp_path / "out")


def test_cells_that_differ_in_the_ratio_only_are_one_series_in_its_order(summary):
    attention = series.all_series(summary)[0]
    assert attention.label == "attention" and [cell.ratio for cell in attention.cells] == [0.12, 0.25, 0.5]


def test_labels_name_what_is_unusual(summary):
    labels = [one.label for one in series.all_series(summary)]
    both = "attention + feedforward"
    assert labels == ["attention", "feedforward", both, f"{both}, random init", f"{both}, linear +0.5 mapping"]
    assert series.usual_settings(summary) == ["uniform mapping", "spectral init"]


def test_series_of_one_target_set_share_a_colour_and_no_two_a_marker(summary):
    found = series.all_series(summary)
    assert len({one.color for one in found}) == 3 and len({one.marker for one in found}) == len(found)
    assert found[2].color == found[3].color == found[4].color


def test_a_dense_cell_that_is_not_the_baseline_says_why(tmp_path):
    runs = [fabricate.run(), fabricate.run(lr=0.002)]
    experiments = [fabricate.experiment(run, {"train.lr": run.train.lr}) for run in runs]
    aggregate.aggregate(experiments, tmp_path, tmp_path, fabricate.DECODING, tmp_path / "out")
    labels = [series.dense_label(cell) for cell in cells.summarise(tmp_path / "out").cells]
    assert labels == ["dense", "dense, lr 0.002"]


def test_what_coincides_stands_side_by_side_around_its_place(summary):
    places = dict(zip((cell.name for cell in summary.cells[:4]), [1.0, 2.0, 2.0, 5.0], strict=True))
    at = series.dodge(summary.cells[:4], lambda cell: places[cell.name], spread=0.1, near=0.01)
    assert list(at.values()) == pytest.approx([1.0, 1.95, 2.05, 5.0])
