"""The figures hold every finished cell, with nothing cut or on top of something else."""

import itertools
import math
import os
import subprocess
import sys

import fabricate
import fabricate_project
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lrsms.record.losses import write_losses
from lrsms.report import aggregate
from lrsms.report.figures import material, style, write
from lrsms.report.figures.layout import Canvas, ratio_axis
from lrsms.report.figures.names import KINDS, figure_names
from lrsms.report.results import save_project
from lrsms.study.decoding import Condition, Decoder, Decoding

TARGETS = (("encoder.attention",), ("encoder.feedforward",), ("encoder.attention", "encoder.feedforward"))
NAMES = list(write.DRAWINGS)


def experiments_of_every_kind(seeds=(1, 2)):
    """Three initialisations of every target, one of them at two ratios, rank mappings, and another optimizer."""
    settings = [
        {"targets": targets, "ratio": ratio, "init": init}
        for targets in TARGETS
        for ratio, init in ((0.5, "spectral"), (0.12, "spectral"), (0.5, "random"), (0.5, "matched"))
    ]
    settings += [{"targets": TARGETS[2], "ratio": 0.5, "mapping": "linear", "slope": s} for s in (0.5, -0.5)]
    runs = [fabricate.run(lowrank, seed) for lowrank in (None, *settings) for seed in seeds]
    runs += [fabricate.run(settings[0], seed, optimizer="muon") for seed in seeds]
    return [fabricate.experiment(run, {"train.optimizer": run.train.optimizer or "adamw"}) for run in runs]


def noisy(conditions):
    """Greedy decoding under this many conditions of the test split, without noise first."""
    noise = {f"snr{n}": Condition(split="test", noise="babble", snr=5.0 * n) for n in range(1, conditions)}
    clean = {"valid": Condition(split="valid"), "clean": Condition(split="test")}
    return Decoding(decoders={"greedy": Decoder(kind="greedy")}, conditions=clean | noise)


def study(folder, experiments, decoding=fabricate.DECODING, recorded=None, losses=False):
    """Records, step times and aggregates of a study, and what its figures are made of."""
    for number, experiment in enumerate(experiments if recorded is None else recorded):
        table = fabricate.scores(0.1 + 0.01 * (number % 7), number)
        path = fabricate.record(folder / "records", experiment, table)
        if losses:
            write_losses(path / decoding.scores, fabricate.losses(table))
        fabricate.steptime(folder / "steptime", experiment)
    places = folder / "records", folder / "steptime"
    aggregate.aggregate(experiments, *places, decoding, folder / "out")
    return folder / "out", experiments, decoding, *places


def draw(name, made):
    with style.style():
        drawn = write.DRAWINGS[name](material.load(*made))
        FigureCanvasAgg(drawn.figure)
        style.lay_out(drawn.figure)
    return drawn


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demonstration's aggregates and records, one seed."""
    return study(tmp_path_factory.mktemp("demo"), [experiment for _, experiment in fabricate.demo()])


@pytest.fixture(scope="module", params=[1, 4])
def everything(request, tmp_path_factory):
    """Every figure, drawn under one condition and under four; a run diverged and two are missing."""
    patch = pytest.MonkeyPatch()
    decoding = noisy(request.param)
    patch.setattr(fabricate, "DECODING", decoding)
    folder, experiments = tmp_path_factory.mktemp("everything"), experiments_of_every_kind()
    recorded = [e for e in experiments if e.cell != "encoder.feedforward-0.5-matched"]
    diverged = next(e for e in recorded if e.cell == "encoder.feedforward-0.5-random")
    recorded.remove(diverged)
    fabricate.record(folder / "records", diverged, fabricate.scores(0.1, 0).iloc[:0], status="diverged", diverged_at=7)
    made = study(folder, experiments, decoding, recorded, losses=True)
    patch.undo()
    return {name: draw(name, made) for name in figure_names(*made[1:3], losses=True)}


@pytest.fixture(scope="module")
def written(demo, tmp_path_factory):
    """The files of the demonstration's figures."""
    figures = tmp_path_factory.mktemp("figures")
    write.write(material.load(*demo), figures)
    return figures


def test_every_figure_is_written_in_every_kind_with_its_fonts_and_without_a_date(demo, written):
    names = figure_names(*demo[1:3])
    assert sorted(path.name for path in written.iterdir()) == sorted(f"{n}.{kind}" for n in names for kind in KINDS)
    for name in names:
        pdf = (written / f"{name}.pdf").read_bytes()
        assert b"/FontFile2" in pdf and b"/Type3" not in pdf and b"CreationDate" not in pdf
        svg = (written / f"{name}.svg").read_text()
        assert "<text" not in svg and "dc:date" not in svg


@pytest.mark.slow
def test_the_same_data_give_the_same_bytes_in_another_process(demo, written, tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(fabricate.__file__).removesuffix('fabricate.py')!r})\n"
        "import fabricate; from pathlib import Path; from lrsms.report.figures import material, write\n"
        "folder, figures, *places = map(Path, sys.argv[1:])\n"
        "experiments = [experiment for _, experiment in fabricate.demo()]\n"
        "write.write(material.load(folder, experiments, fabricate.DECODING, *places), figures)"
    )
    there = tmp_path / "there"
    subprocess.run([sys.executable, "-c", code, *map(str, (demo[0], there, *demo[3:5]))], check=True)
    names = sorted(path.name for path in written.iterdir())
    assert names == sorted(path.name for path in there.iterdir())
    for name in names:
        assert (written / name).read_bytes() == (there / name).read_bytes(), name


def test_every_figure_that_a_study_may_have_is_among_them(everything):
    assert [name for name in NAMES if name != "wer_by_snr"] == [name for name in everything if name != "wer_by_snr"]


def test_no_text_is_cut_and_the_legend_is_clear_of_the_panels(everything):
    for name, drawn in everything.items():
        figure = drawn.figure
        page = figure.bbox
        panels = [axes for axes in figure.axes if axes.axison]
        for box in [*(one.get_window_extent() for one in figure.legends), *(axes.get_tightbbox() for axes in panels)]:
            assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1, name
            assert page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1, name
        (legend,) = figure.legends
        assert all(legend.get_window_extent().y1 <= axes.get_tightbbox().y0 + 1 for axes in panels), name
        assert all(axes.get_window_extent().height > 0.7 * figure.dpi for axes in panels), name
        assert all(axes.get_window_extent().width > 1.2 * figure.dpi for axes in panels), name


def test_titles_and_ticks_do_not_run_into_one_another(everything):
    for name, drawn in everything.items():
        for axes in (axes for axes in drawn.figure.axes if axes.axison):
            labels = [text.get_window_extent() for text in axes.get_xticklabels() if text.get_text()]
            labels = sorted((box for box in labels if box.width), key=lambda box: box.x0)
            assert all(a.x1 <= b.x0 for a, b in itertools.pairwise(labels)), name
        titles = [axes.title.get_window_extent() for axes in drawn.figure.axes if axes.get_title()]
        assert not any(a.overlaps(b) for i, a in enumerate(titles) for b in titles[:i]), name


def test_a_figure_is_a_column_or_a_page_wide_and_fits_on_a_page(everything):
    for name, drawn in everything.items():
        width, height = drawn.figure.get_size_inches()
        assert width == (3.4 if sum(axes.axison for axes in drawn.figure.axes) == 1 else 7.0), name
        assert height < 10, name


def test_no_interval_is_cut(everything):
    for name, drawn in everything.items():
        for axes in drawn.figure.axes:
            low, high = sorted(axes.get_ylim())
            for bars in (bars for bars in axes.containers if hasattr(bars, "has_yerr") and bars.has_yerr):
                ends = [y for lines in bars[2] for segment in lines.get_segments() for y in segment[:, 1]]
                assert low - 1e-9 <= min(ends) and max(ends) <= high + 1e-9, name


def test_captions_name_what_is_missing_and_the_sample(everything):
    for name, drawn in everything.items():
        caption = " ".join(drawn.caption)
        if name not in ("ranks_by_depth", "steptime"):
            assert "Not shown: 1 unfinished cell, 1 diverged cell." in caption, name
        if name.startswith(("wer", "change")):
            assert "2 seeds" in caption and "12 speakers" in caption and "greedy decoding" in caption, name
        if name in ("spectra", "stable_ranks", "loss_by_step", "valid_wer_by_step"):
            assert "means over 2 seeds; bands show the whole range" in caption, name


@pytest.mark.parametrize("name", ["wer_by_ratio", "wer_by_parameters"])
def test_every_finished_cell_is_drawn_at_its_rate_with_its_interval(demo, name):
    (axes,) = draw(name, demo).figure.axes
    cells = material.load(*demo).summary.cells
    drawn = [value for bars in axes.containers for value in bars[0].get_ydata()]
    rates = [100 * cell.scores["beam", "test"].rate.value for cell in cells]
    expected = rates[1:] if name == "wer_by_ratio" else rates
    assert sorted(drawn) == pytest.approx(sorted(expected))
    if name == "wer_by_ratio":
        assert any(np.allclose(line.get_ydata(), rates[0]) for line in axes.lines)
    segments = [segment for bars in axes.containers for lines in bars[2] for segment in lines.get_segments()]
    ends = np.array([y for segment in segments for y in segment[:, 1]])
    for interval in (cell.scores["beam", "test"].rate.interval for cell in cells[1:]):
        assert min(abs(ends - 100 * interval.low)) < 1e-9 > min(abs(ends - 100 * interval.high))


def test_every_finished_cell_is_drawn_at_each_of_its_costs(demo):
    cells = material.load(*demo).summary.cells
    panels = draw("wer_by_cost", demo).figure.axes
    costs = [[c.parameters / 1e6 for c in cells], [c.macs_per_second / 1e9 for c in cells], [c.step_ms for c in cells]]
    for axes, expected in zip(panels, costs, strict=True):
        drawn = [x for bars in axes.containers for x in bars[0].get_xdata()]
        assert len(drawn) == len(expected)
        if axes is not panels[2]:  # in the third they are relative, and dodge one another
            assert max(abs(np.sort(drawn) - np.sort(expected))) < 0.1 * np.ptp(expected)
    assert [axes.get_xlabel() for axes in panels] == ["parameters (M)", "multiply-adds (G/s)", "step time (dense = 1)"]


@pytest.mark.parametrize("name", ["wer_by_ratio", "wer_by_parameters"])
def test_no_two_points_stand_on_one_another_and_every_series_has_its_own_marker(demo, name):
    figure = draw(name, demo).figure
    (axes,) = figure.axes
    points = [xy for bars in axes.containers for xy in axes.transData.transform(bars[0].get_xydata())]
    nearest = min(math.dist(a, b) for i, a in enumerate(points) for b in points[:i])
    assert nearest > 0.03 * figure.dpi
    markers = [bars[0].get_marker() for bars in axes.containers]
    assert len(set(markers)) == len(markers)


def test_captions_say_seeds_sample_and_bars(demo):
    for name in ("wer_by_ratio", "wer_by_parameters", "wer_by_steptime", "change_by_init"):
        caption = " ".join(draw(name, demo).caption)
        assert "One seed; 95% intervals of WER: bootstrap over 12 test speakers" in caption
        assert "120 utterances, 720 words, 12 speakers" in caption and "beam decoding" in caption
        assert "Unless a label says otherwise: uniform mapping, spectral init." in caption


def test_figures_show_the_last_decoder(demo):
    made = material.load(*demo)
    cells = [cell for cell in made.summary.cells if cell.targets == (fabricate.ATTENTION,)]
    assert made.decoder == "beam" and made.summary.decoders == ("greedy", "beam")
    shown = draw("wer_by_ratio", demo).figure.axes[0].containers[0][0].get_ydata().tolist()
    beam, greedy = (
        [100 * cell.scores[decoder, "test"].rate.value for cell in sorted(cells, key=lambda cell: cell.ratio)]
        for decoder in ("beam", "greedy")
    )
    assert shown == pytest.approx(beam) and shown != pytest.approx(greedy)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_finished_is_said_in_the_figure(tmp_path, name):
    made = study(tmp_path, [experiment for _, experiment in fabricate.demo()], noisy(2), recorded=[])
    drawn = draw(name, made)
    texts = [text.get_text().replace("\n", " ") for axes in drawn.figure.axes for text in axes.texts]
    assert texts and all(text.startswith(("no ",)) for text in texts)
    assert "8 unfinished cells" in " ".join(drawn.caption) or name in ("ranks_by_depth", "steptime")


def test_an_empty_panel_has_no_numbers_on_an_axis_that_nothing_has_set():
    canvas = Canvas(["drawn", "empty", "of ratios"], ["dense"])
    canvas.panels[0].plot([100, 200], [0.5, 0.25], label="dense")
    ratio_axis(canvas.panels[2], (0.25, 0.5))
    canvas.finish("step", "loss", "nothing")
    canvas.figure.draw_without_rendering()
    shown = [[t.get_text() for t in axes.get_xticklabels() if t.get_visible()] for axes in canvas.panels]
    assert shown[0] and shown[1] == [] and shown[2] == ["0.25", "0.5"]


def test_records_without_spectra_and_curves_are_named(tmp_path):
    made = study(tmp_path, [experiment for _, experiment in fabricate.demo()])
    cell = made[1][1]
    for part in ("spectra.json", "curve.csv"):
        (made[3] / cell.name / part).unlink()
    for name, part in (("spectra", "spectra"), ("loss_by_step", "curve")):
        caption = " ".join(draw(name, made).caption)
        assert f"because the record of some seed has no {part}: {cell.cell}." in caption


def test_cells_of_unequal_seeds_are_compared_on_those_that_they_share(tmp_path):
    """Random has two seeds of spectral's three; matched one that spectral has not."""
    settings = [(None, (1, 2, 3)), ("spectral", (1, 2, 3)), ("random", (1, 2)), ("matched", (2, 4))]
    experiments = [
        fabricate.experiment(fabricate.run(init and {"targets": TARGETS[0], "ratio": 0.5, "init": init}, seed))
        for init, seeds in settings
        for seed in seeds
    ]
    drawn = draw("change_by_init", study(tmp_path, experiments))
    shown = [container.get_label() for axes in drawn.figure.axes for container in axes.containers]
    assert set(shown) == {"random"}
    assert any(
        "spectral cell lacks some of their seeds: encoder.attention-0.5-matched." in one for one in drawn.caption
    )


SETTINGS = (
    "text.usetex: True\nfont.size: 30\npath.sketch: 5, 100, 2\nlines.linewidth: 9\nsavefig.dpi: 10\nnonsense: 1\n"
)
OTHER_PROCESSOR = "X86_V3 X86_V4 AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
"""What NumPy is told to do without; what a processor lacks, or NumPy does not know, it warns of."""


@pytest.fixture(scope="module")
def drawn_by_the_verb(tmp_path_factory):
    """Draws the figures of a small study in a process of their own, with whatever is in its surroundings."""
    folder = tmp_path_factory.mktemp("surroundings")
    project, experiments = fabricate_project.write_project(folder)
    fabricate_project.record(folder, experiments)
    results = folder / "results" / fabricate_project.NAME
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MPL", "MATPLOTLIB"))}
    environment["PYTHONPATH"] = str(fabricate_project.ROOT)

    def run(*arguments, **surroundings):
        command = [sys.executable, "-m", "lrsms", *map(str, arguments)]
        done = subprocess.run(command, cwd=folder, env=environment | surroundings, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    save_project(project, results)
    run("regenerate", results)

    def draw_all(name, **surroundings):
        run("figures", results, folder / name, **surroundings)
        return {path.name: path.read_bytes() for path in sorted((folder / name).iterdir())}

    return folder, draw_all


@pytest.mark.slow
def test_pictures_do_not_depend_on_settings_of_their_user(drawn_by_the_verb):
    folder, draw_all = drawn_by_the_verb
    expected = draw_all("plain")
    assert len(expected) > 10
    (folder / "mine").write_text(SETTINGS)
    (folder / "matplotlibrc").write_text(SETTINGS)  # Matplotlib reads the current folder's first
    mine = {
        "MATPLOTLIBRC": str(folder / "mine"),
        "MPLBACKEND": "no_such_backend",
        "LC_ALL": "de_DE.UTF-8",
        "TZ": "Asia/Tokyo",
    }
    try:
        assert draw_all("mine-drawn", **mine) == expected
    finally:
        (folder / "matplotlibrc").unlink()


DRAW = """
import sys
from pathlib import Path
from lrsms.report.figures import material, write
from lrsms.report.results import load_project
from lrsms.study import expand
folder = Path("results/attention-asr-tiny-grid_s1")
project = load_project(folder)
made = material.load(folder, expand.load(project), project.decoding, Path("results/records"), Path("results/steptime"))
with write.style():
    write.save(write.DRAWINGS["spectra"](made).figure, Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_pictures_do_not_depend_on_the_processor(tmp_path):
    """Spectra of real runs: their logarithms end in another bit where NumPy has other instructions."""
    for name, without in (("here", ""), ("there", OTHER_PROCESSOR)):
        environment = os.environ | {"PYTHONPATH": str(fabricate_project.ROOT), "NPY_DISABLE_CPU_FEATURES": without}
        command = [sys.executable, "-W", "ignore", "-c", DRAW, str(tmp_path / name)]
        subprocess.run(command, cwd=fabricate_project.ROOT, env=environment, check=True)
    for kind in ("png", "pdf", "svg"):
        assert (tmp_path / f"here.{kind}").read_bytes() == (tmp_path / f"there.{kind}").read_bytes(), kind
