"""The figures hold every finished cell, with nothing cut or on top of something else."""

import math
import subprocess
import sys

import fabricate
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lrsms import aggregate, cells, figures

FILES = [f"{name}.{kind}" for name in ("wer_by_ratio", "wer_by_parameters") for kind in ("pdf", "png", "rst")]


@pytest.fixture
def folder(tmp_path):
    """The demonstration's aggregates, one seed."""
    experiments, records, steptimes = fabricate.demo_study(tmp_path)
    aggregate.aggregate(experiments, records, steptimes, fabricate.DECODING, tmp_path / "demo")
    return tmp_path / "demo"


def draw(folder, which):
    with figures._style():
        figure = which(cells.summarise(folder), "beam")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return figure


def test_files_are_written_with_embedded_fonts_and_without_a_date(folder, tmp_path):
    figures.write(folder, tmp_path / "figures")
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == sorted(FILES)
    pdf = (tmp_path / "figures/wer_by_ratio.pdf").read_bytes()
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf and b"CreationDate" not in pdf


def test_the_same_data_give_the_same_bytes_in_another_process(folder, tmp_path):
    figures.write(folder, tmp_path / "here")
    code = "import sys; from pathlib import Path; from lrsms import figures; figures.write(*map(Path, sys.argv[1:]))"
    subprocess.run([sys.executable, "-c", code, str(folder), str(tmp_path / "there")], check=True)
    for name in FILES:
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes(), name


@pytest.mark.parametrize("which", [figures.by_ratio, figures.by_parameters])
def test_every_finished_cell_is_drawn_at_its_rate_with_its_interval(folder, which):
    (axes,) = draw(folder, which).axes
    drawn = [value for bars in axes.containers for value in bars[0].get_ydata()]
    rates = [100 * cell.scores["beam", "test"].wer.value for cell in cells.summarise(folder).cells]
    expected = rates[1:] if which is figures.by_ratio else rates
    assert sorted(drawn) == pytest.approx(sorted(expected))
    if which is figures.by_ratio:
        assert any(np.allclose(line.get_ydata(), rates[0]) for line in axes.lines)
    ends = [
        y for bars in axes.containers for lines in bars[2] for segment in lines.get_segments() for y in segment[:, 1]
    ]
    intervals = [cell.scores["beam", "test"].wer.interval for cell in cells.summarise(folder).cells]
    for interval in intervals[1:]:
        assert min(abs(np.array(ends) - 100 * interval.low)) < 1e-9 > min(abs(np.array(ends) - 100 * interval.high))


@pytest.mark.parametrize("which", [figures.by_ratio, figures.by_parameters])
def test_no_two_points_stand_on_one_another_and_every_series_has_its_own_marker(folder, which):
    figure = draw(folder, which)
    (axes,) = figure.axes
    points = [xy for bars in axes.containers for xy in axes.transData.transform(bars[0].get_xydata())]
    nearest = min(math.dist(a, b) for i, a in enumerate(points) for b in points[:i])
    assert nearest > 0.03 * figure.dpi
    markers = [bars[0].get_marker() for bars in axes.containers]
    assert len(set(markers)) == len(markers)


@pytest.mark.parametrize("which", [figures.by_ratio, figures.by_parameters])
@pytest.mark.parametrize("conditions", [1, 2, 4])
def test_no_text_is_cut_and_the_legend_is_clear_of_the_panels(tmp_path, which, conditions, monkeypatch):
    decoding = fabricate.config.Decoding(
        decoders={"beam": fabricate.DECODING.decoders["beam"]},
        conditions={f"snr{n}": fabricate.config.Condition(split="test") for n in range(conditions)},
    )
    monkeypatch.setattr(fabricate, "DECODING", decoding)
    lowrank = {"targets": ("encoder.attention", "encoder.feedforward", "decoder.cross_attention"), "ratio": 0.25}
    runs = [fabricate.run(), fabricate.run({"targets": ("encoder.attention",), "ratio": 0.5})]
    runs += [fabricate.run({**lowrank, "init": init}) for init in ("spectral", "random", "matched", "orthogonal")]
    monkeypatch.setattr(fabricate, "parameters", lambda experiment: (900 if experiment.run.lowrank else 1000, 1000))
    experiments = [fabricate.experiment(run) for run in runs]
    for number, experiment in enumerate(experiments):
        fabricate.record(tmp_path / "records", experiment, fabricate.scores(0.1, number))
    aggregate.aggregate(experiments, tmp_path / "records", tmp_path, decoding, tmp_path / "out")
    figure = draw(tmp_path / "out", which)
    page = figure.bbox
    (legend,) = figure.legends
    panels = [axes for axes in figure.axes if axes.axison]
    assert len(panels) == conditions
    for box in [legend.get_window_extent(), *(axes.get_tightbbox() for axes in panels)]:
        assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1 and page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1
    assert all(legend.get_window_extent().y1 <= axes.get_tightbbox().y0 + 1 for axes in panels)
    assert all(axes.get_window_extent().height > 1.0 * figure.dpi for axes in panels)


def test_captions_say_seeds_sample_and_bars(folder):
    summary = cells.summarise(folder)
    for caption in (figures.caption(summary, name, "beam") for name in figures.DRAWINGS):
        assert "One seed; 95% intervals: bootstrap over 12 test speakers" in caption
        assert "120 utterances, 720 words, 12 speakers" in caption and "beam decoding" in caption
        assert "Unless named otherwise: uniform mapping, spectral init." in caption


def test_another_decoder_gives_another_figure(folder, tmp_path):
    figures.write(folder, tmp_path / "beam")
    figures.write(folder, tmp_path / "greedy", decoder="greedy")
    assert (tmp_path / "beam/wer_by_ratio.png").read_bytes() != (tmp_path / "greedy/wer_by_ratio.png").read_bytes()
    with pytest.raises(ValueError, match=r"no decoder 'sampling'; known: greedy, beam"):
        figures.write(folder, tmp_path, decoder="sampling")


def test_nothing_finished_is_said_in_the_figure(tmp_path):
    experiments = [experiment for _, experiment in fabricate.demo()]
    aggregate.aggregate(experiments, tmp_path, tmp_path, fabricate.DECODING, tmp_path / "out")
    for which in figures.DRAWINGS.values():
        (axes,) = draw(tmp_path / "out", which).axes
        assert [text.get_text() for text in axes.texts] == ["no run has finished"]
    assert "8 unfinished cells" in figures.caption(cells.summarise(tmp_path / "out"), "wer_by_ratio", "beam")
