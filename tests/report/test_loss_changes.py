"""Test losses beside verdicts: counted again from the records, and absent where one record lacks them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fabricate
import numpy as np
import pandas as pd
import pytest

from lrsms.base.strict import parse
from lrsms.record.losses import write_losses
from lrsms.record.run_files import losses_path
from lrsms.report import aggregate, findings, loss_changes, outcomes, verdict_table
from lrsms.report.claims import Claim
from lrsms.report.results import Place
from lrsms.statistics import effects
from lrsms.statistics.looks import plan
from lrsms.study.expand import Experiment

PLACE = Place("demo", "asr", "demo", "speech")
GROUP = {"lowrank.targets": ["encoder.attention"], "lowrank.ratio": 0.12}
RATIOS = (0.5, 0.25, 0.12)
Study = tuple[list[Experiment], Path, Path]
CELL = "encoder.attention-0.12"


def claim(**changes: Any) -> Claim:
    content = {"finding": "x", "study": "demo", "group": GROUP, "rules": ["parity"], "decoder": "beam"}
    return parse(Claim, content | {"conditions": ["test"]} | changes, "test")


def made(root: Path, study: Study) -> Path:
    folder = root / PLACE.folder
    aggregate.aggregate(*study, fabricate.DECODING, folder)
    return folder


def recorded(root: Path, ratios: Sequence[float], with_losses: bool = True) -> Study:
    """Three seeds of the dense model and of one cell for each ratio, with CTC losses if asked."""
    experiments = []
    for number, ratio in enumerate((None, *ratios)):
        lowrank = ratio and {"targets": (fabricate.ATTENTION,), "ratio": ratio}
        for seed in (1, 2, 3):
            experiments.append(fabricate.experiment(fabricate.run(lowrank, seed)))
            table = fabricate.scores(0.1 + 0.02 * number, len(experiments))
            path = fabricate.record(root / "records", experiments[-1], table)
            if with_losses:
                write_losses(path / fabricate.DECODING.scores, fabricate.losses(table))
    return experiments, root / "records", root / "steptime"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("losses")


@pytest.fixture(scope="module")
def study(root: Path) -> Study:
    return recorded(root, RATIOS)


@pytest.fixture(scope="module")
def folder(root: Path, study: Study) -> Path:
    return made(root, study)


def judged(folder: Path, **claims: Claim) -> list[outcomes.Outcome]:
    return outcomes.verdicts(claims, folder, PLACE)


def nats(study: Study, cell: str) -> tuple[np.ndarray, np.ndarray]:
    """CTC loss of each seed and speaker on the test condition, and tokens of each speaker, from the records."""
    experiments, records, _ = study
    rows = []
    for one in (one for one in experiments if one.cell == cell):
        path = records / one.name / fabricate.DECODING.scores
        table = pd.read_csv(losses_path(path))
        table = table[table["condition"] == "test"].assign(speaker=lambda rows: rows["id"].str[:2])
        rows.append(table.groupby("speaker")[["ctc", "tokens"]].sum())
    return np.stack([part["ctc"] for part in rows]), rows[0]["tokens"].to_numpy(float)


def test_the_change_is_that_of_the_losses_per_token_at_the_level_of_the_look(folder, study) -> None:
    (outcome,) = judged(folder, F1=claim())
    (loss,) = outcome.findings[0].losses
    (a, tokens), (b, _) = nats(study, "dense"), nats(study, CELL)
    assert loss.metric.key == "ctc_loss"
    assert loss.value == pytest.approx((b.sum() - a.sum()) / (3 * tokens.sum()), abs=1e-8)
    expected = effects.difference(a, b, tokens).interval_at(plan()[0].level)
    assert (loss.interval.low, loss.interval.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert loss_changes.text(outcome.findings) == f"CTC {loss.value:+.3f} [{expected.low:.3f}, {expected.high:.3f}]"


@pytest.mark.slow
def test_a_trend_has_the_slope_of_the_loss_and_an_onset_its_change_there(folder, study) -> None:
    group = {"lowrank.targets": ["encoder.attention"]}
    trend, onset = judged(
        folder, T=claim(group=group, rules=["trend"]), O=claim(group=group, rules=["onset"], onset=0.25)
    )
    tables = [
        nats(study, name) for name in ("dense", *(f"encoder.attention-{ratio}" for ratio in ("0.5", "0.25", "0.12")))
    ]
    doses = [0.0, 1.0, 2.0, float(np.log2(1 / 0.12))]
    tokens = tables[0][1]
    slope = np.polyfit(doses, [table.sum() / (3 * tokens.sum()) for table, _ in tables], 1)[0]
    (loss,) = trend.findings[0].losses
    assert loss.value == pytest.approx(slope, abs=1e-8)
    assert loss_changes.text(trend.findings).endswith("] per halving of the ratio")
    (loss,) = onset.findings[0].losses
    assert loss.value == pytest.approx((tables[2][0].sum() - tables[0][0].sum()) / (3 * tokens.sum()), abs=1e-8)


def test_tables_have_the_change_of_each_verdict_and_a_dash_for_what_compares_no_rates(folder, tmp_path) -> None:
    counted = claim(rules=["fewer_parameters"], times_fewer=1.01)
    found = judged(folder, F1=claim(), F2=counted)
    shown = verdict_table.readable(found).frame().set_index("claim")[loss_changes.HEADER]
    assert shown["F1"].startswith("CTC +") and shown["F2"] == "-"
    assert loss_changes.NOTE in verdict_table.readable(found).notes
    assert f"Test loss, in nats per token: {shown['F1']}." in verdict_table.sentence(found[0])
    verdict_table.write(found, tmp_path, "x")
    rows = json.loads((tmp_path / "claims.json").read_text())["claims"]
    for row in rows:  # other endpoints, too; what counts parameters has none
        known = [row[f"ctc_loss_change{end}"] for end in ("", "_low", "_high")]
        assert (None in known) == (row["rule"] == "fewer_parameters")
        assert known[0] is None or known[1] < known[0] < known[2]
    assert {row["kind"] for row in rows} == {"verdict", "sensitivity"}
    page = findings.table(found, {"F1": claim(), "F2": counted, "F3": claim()})
    frame = page.frame().set_index("claim")[loss_changes.HEADER]
    assert list(frame) == [shown["F1"], "-", "-"] and loss_changes.NOTE in page.notes


@pytest.mark.slow
def test_one_record_without_losses_leaves_only_its_own_claims_without(tmp_path) -> None:
    experiments, records, steptimes = recorded(tmp_path, (0.5, 0.12))
    losses_path(records / experiments[-1].name / fabricate.DECODING.scores).unlink()
    folder = made(tmp_path, (experiments, records, steptimes))
    without, with_ = judged(folder, F1=claim(), F2=claim(group=GROUP | {"lowrank.ratio": 0.5}))
    assert without.findings[0].losses == () and len(with_.findings[0].losses) == 1
    assert verdict_table.readable([without, with_]).frame()[loss_changes.HEADER][0] == "-"


def test_where_no_record_has_losses_tables_are_as_they_were(tmp_path) -> None:
    folder = made(tmp_path, recorded(tmp_path, (0.12,), with_losses=False))
    found = judged(folder, F1=claim())
    assert loss_changes.HEADER not in verdict_table.readable(found).frame()
    assert not [name for name in verdict_table.complete(found) if "loss" in name]
    assert loss_changes.HEADER not in findings.table(found, {"F1": claim()}).frame()
    assert "Test loss" not in verdict_table.sentence(found[0])
