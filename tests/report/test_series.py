"""How cells are put together, named and placed in a figure."""

import textwrap

import fabricate
import pytest

from lrsms.report import aggregate, series
from lrsms.report.summary import summarise


@pytest.fixture
def summary(tmp_path):
    experiments = [experiment for _, experiment in fabricate.demo()]
    aggregate.aggregate(experiments, tmp_path, tmp_path, fabricate.DECODING, tmp_path / "out")
    return summarise(tmp_path / "out")


@pytest.fixture
def many(tmp_path):
    """Seven series, two learning rates, and a dense model that nothing is compared with."""
    settings = [(t, i, 0.001) for t in ("attention", "feedforward") for i in ("spectral", "random", "matched")]
    lowrank = [None, *({"targets": (f"encoder.{t}",), "ratio": 0.5, "init": i} for t, i, _ in settings)]
    runs = [fabricate.run(one) for one in lowrank]
    runs += [fabricate.run(lr=0.002), fabricate.run(lowrank[1], lr=0.002)]
    narrow = fabricate.run()
    runs.append(narrow.model_copy(update={"model": narrow.model.model_copy(update={"heads": 2})}))
    axes = [{"train.lr": run.train.lr, "model.heads": run.model.heads} for run in runs]
    experiments = [fabricate.experiment(run, varied) for run, varied in zip(runs, axes, strict=True)]
    aggregate.aggregate(experiments, tmp_path, tmp_path, fabricate.DECODING, tmp_path / "out")
    return summarise(tmp_path / "out")


def test_cells_that_differ_in_the_ratio_only_are_one_series_in_its_order(summary):
    (panel,) = series.all_panels(summary)
    attention = panel.series[0]
    assert attention.label == "attention" and [cell.ratio for cell in attention.cells] == [0.12, 0.25, 0.5]


def test_labels_name_what_is_unusual(summary):
    labels = [one.label for one in series.all_panels(summary)[0].series]
    both = "attention + feedforward"
    assert labels == ["attention", "feedforward", both, f"{both}, random init", f"{both}, linear +0.5 mapping"]
    assert series.usual_settings(summary) == ["uniform mapping", "spectral init"]


def test_series_of_one_target_set_share_a_colour_and_no_two_a_marker(summary):
    looks = [one.look for one in series.all_panels(summary)[0].series]
    assert len({look.color for look in looks}) == 3 and len({look.marker for look in looks}) == len(looks)
    assert looks[2].color == looks[3].color == looks[4].color


def test_many_series_have_a_panel_for_each_set_of_targets(many):
    panels = series.all_panels(many)
    assert [panel.title for panel in panels] == ["attention", "feedforward", "attention, lr 0.002"]
    for panel in panels[:2]:
        assert [one.label for one in panel.series] == ["spectral init", "random init", "matched init"]
    assert [one.label for one in panels[2].series] == ["spectral init"]
    assert panels[0].series[1].look == panels[1].series[1].look, "a label looks the same everywhere"


def test_a_panel_has_the_dense_cells_that_its_own_are_compared_with_and_those_that_none_is(many):
    assert [[cell.name for cell in panel.dense] for panel in series.all_panels(many)] == [
        ["dense", "heads2"],
        ["dense", "heads2"],
        ["lr0.002", "heads2"],
    ]


def test_a_dense_cell_that_is_not_the_baseline_says_why(many):
    assert series.dense_labels(many) == {"dense": "dense", "lr0.002": "dense, lr 0.002", "heads2": "dense, heads 2"}


def test_what_coincides_stands_side_by_side_around_its_place(summary):
    places = dict(zip((cell.name for cell in summary.cells[:4]), [1.0, 2.0, 2.0, 5.0], strict=True))
    at = series.dodge(summary.cells[:4], lambda cell: places[cell.name], spread=0.1, near=0.01)
    assert list(at.values()) == pytest.approx([1.0, 1.95, 2.05, 5.0])


def test_targets_of_several_stacks_name_each_once():
    targets = ("encoder.attention", "encoder.feedforward", "fusion", "decoder.self_attention")
    targets += ("audio_encoder.convolution",)
    expected = "encoder attention + feedforward; fusion; decoder self attention; audio encoder convolution"
    assert series.by_stack(targets) == expected
    assert series.by_stack(("attention", "feedforward")) == "attention + feedforward"


@pytest.mark.parametrize(
    ("text", "width"), [("dense, dim 96, heads 3, feedforward 428, fusion 344", 48), ("one", 2), ("", 5)]
)
def test_folding_takes_no_more_lines_and_leaves_no_orphan(text, width):
    lines = series.fold(text, width).splitlines()
    assert len(lines) == len(textwrap.wrap(text, width, break_long_words=False))
    assert " ".join(lines) == text and all(len(line) > 0.4 * len(max(lines, key=len)) for line in lines)
