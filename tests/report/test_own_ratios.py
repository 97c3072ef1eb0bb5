"""Cells with a ratio for each target: in tables, claims and figures they are told apart, and off an axis of ratios."""

from pathlib import Path
from typing import Any

import fabricate
import pandas as pd
import pytest
from claiming import PLACE, judged

from lrsms.base.strict import parse
from lrsms.report import aggregate, tables
from lrsms.report.claims import Claim
from lrsms.report.factored import COLUMNS, Factored
from lrsms.report.figures import material, style, write
from lrsms.report.figures.highlights import highlights
from lrsms.report.figures.names import figure_names
from lrsms.report.series import all_panels
from lrsms.report.summary import summarise
from lrsms.study.expand import Experiment
from lrsms.study.fields import as_text
from lrsms.study.lowrank import LowRank

BOTH = (fabricate.ATTENTION, fabricate.FEEDFORWARD)
RATIOS = {BOTH[0]: 0.125, BOTH[1]: 0.5}
NAME = "encoder.attention+encoder.feedforward-0.125+0.5"
LOWRANK: list[dict[str, Any] | None] = [
    None,
    {"targets": BOTH, "ratio": 0.25},
    {"targets": BOTH, "ratio": 0.5},
    {"targets": BOTH, "ratio": 0.25, "mapping": "linear", "slope": 0.5},
    {"targets": BOTH, "ratio": RATIOS},
    {"targets": BOTH, "ratio": RATIOS, "mapping": "linear", "slope": 0.5},
]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Experiment]]:
    """Results of three seeds of each cell."""
    root = tmp_path_factory.mktemp("by_target")
    experiments = [fabricate.experiment(fabricate.run(one, seed)) for one in LOWRANK for seed in (1, 2, 3)]
    for number, experiment in enumerate(experiments):
        fabricate.record(root / "records", experiment, fabricate.scores(0.1 + 0.01 * (number // 3), number))
        fabricate.steptime(root / "steptime", experiment)
    aggregate.aggregate(experiments, root / "records", root / "steptime", fabricate.DECODING, root / PLACE.folder)
    return root / PLACE.folder, experiments


def claim(**changes: Any) -> Claim:
    content = {"finding": "x", "study": "demo", "rules": ["parity"], "decoder": "beam", "conditions": ["test"]}
    return parse(Claim, content | changes, "test")


@pytest.mark.parametrize("ratio", [0.25, RATIOS, {BOTH[0]: 1 / 3, BOTH[1]: 1.0}])
def test_what_is_written_is_read_back(ratio: Any, tmp_path: Path) -> None:
    factored = [Factored.of(LowRank(targets=BOTH, ratio=one)) for one in (ratio, 0.12)]
    pd.DataFrame([one.columns() for one in factored], columns=COLUMNS).to_csv(tmp_path / "x.csv", index=False)
    rows = pd.read_csv(tmp_path / "x.csv", dtype=str, keep_default_na=False).to_dict("records")
    assert [Factored.read(row) for row in rows] == factored


def test_the_table_has_the_ratio_of_each_target_and_what_that_makes_of_the_model(study) -> None:
    folder, experiments = study
    summary = summarise(folder)
    cell = next(one for one in summary.cells if one.name == NAME)
    run = next(one for one in experiments if one.cell == NAME)
    assert (cell.kept, cell.ratio, cell.parameters) == ("0.125 + 0.5", None, fabricate.parameters(run)[0])
    assert cell.times_fewer == fabricate.parameters(run)[1] / fabricate.parameters(run)[0]
    everything = tables.complete(summary).set_index("cell")
    assert everything.loc[NAME, "ratio"] == "0.125 + 0.5" and everything.loc[NAME, "targets"] == " + ".join(BOTH)
    shown = tables.readable(summary, 160)
    kept = next(column for column in shown.columns if column.header == "kept")
    assert sorted(set(kept.texts)) == ["", "0.125 + 0.5", "0.25", "0.5"]
    assert any("of each target in turn where it differs" in note for note in shown.notes)


@pytest.mark.parametrize("ratio", [dict(reversed(RATIOS.items())), "by_target"])
def test_a_claim_names_the_cell_by_its_mapping_in_any_order(study, ratio: Any) -> None:
    one = claim(
        group={"lowrank.ratio": ratio, "lowrank.mapping": "uniform"},
        against={"lowrank.ratio": 0.25, "lowrank.mapping": "uniform"},
    )
    outcome = judged(study[0], one)
    assert outcome.cells == ("encoder.attention+encoder.feedforward-0.25", NAME)
    assert outcome.verdict != "not run" and outcome.seeds == 3


def test_a_claim_about_several_names_them_in_words(study) -> None:
    outcome = judged(study[0], claim(group={"lowrank.ratio": RATIOS}))
    assert f"ratio {as_text(RATIOS)} against the dense baseline" in outcome.compared


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (claim(group={"lowrank.targets": BOTH}, rules=["trend"]), "rule trend puts cells in order by their ratio"),
        (claim(group={"lowrank": "low rank"}, rules=["onset"], onset=0.5), "rule onset puts cells in order"),
        (
            claim(group={"lowrank.ratio": RATIOS | {BOTH[1]: 0.4}}),
            "is 'encoder.attention 0.125, encoder.feedforward 0.4'",
        ),
    ],
)
def test_a_rule_of_ratios_and_a_mapping_that_no_cell_has_are_refused(study, one: Claim, said: str) -> None:
    with pytest.raises(ValueError, match=r"runs\.csv: claim F1") as error:
        judged(study[0], one)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.slow
def test_a_trend_over_parameters_takes_the_cell(study) -> None:
    one = claim(group={"lowrank.targets": BOTH, "lowrank.mapping": "uniform"}, rules=["trend"], dose="parameters")
    assert judged(study[0], one).findings[0].seeds == 3


@pytest.mark.slow
def test_figures_show_the_cell_beside_others_and_not_on_an_axis_of_ratios(study) -> None:
    folder, experiments = study
    made = material.load(
        folder, experiments, fabricate.DECODING, folder.parents[1] / "records", folder.parents[1] / "steptime"
    )
    summary = made.summary
    (panel,) = all_panels(summary)
    alone = [one for one in panel.series if one.cells[0].factored.by_target]
    assert [len(one.cells) for one in alone] == [1, 1] and "0.125 + 0.5 kept" in alone[0].label
    lines = {line.cell.name: line.label for part in highlights(summary) for line in part.lines}
    assert lines[NAME] == "0.125 + 0.5 kept"
    without = {"wer_by_ratio", "change_by_mapping"}
    for name in figure_names(experiments, fabricate.DECODING):
        with style.style():
            drawn = write.DRAWINGS[name](made)
        caption = " ".join(drawn.caption)
        said = f"Not shown, because each target has its own ratio: {NAME}, {NAME}-linear-slope0.5."
        assert (said in caption) == (name in without), name
        labels = {text for axes in drawn.figure.axes for text in axes.get_legend_handles_labels()[1]}
        assert not (name == "wer_by_ratio" and any("0.125" in text for text in labels))


def test_a_study_of_ratios_by_target_alone_has_no_axis_of_ratios() -> None:
    experiments = [fabricate.experiment(fabricate.run(one)) for one in (LOWRANK[0], *LOWRANK[4:])]
    names = figure_names(experiments, fabricate.DECODING, losses=True)
    assert {"wer_by_ratio", "loss_by_ratio", "change_by_mapping"}.isdisjoint(names) and "wer_by_parameters" in names
