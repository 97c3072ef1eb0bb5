"""What is factorised, as ``runs.csv`` says it: what is written is read back."""

import pandas as pd
import pytest

from lrsms.report.factored import COLUMNS, Factored
from lrsms.study.lowrank import LowRank

ATTENTION, FEEDFORWARD = "encoder.attention", "encoder.feedforward"


@pytest.mark.parametrize(
    ("lowrank", "mapping"),
    [
        (LowRank(targets=(ATTENTION,), ratio=0.25), "uniform"),
        (LowRank(targets=(ATTENTION, FEEDFORWARD), ratio=0.06, init="random"), "uniform"),
        (LowRank(targets=(FEEDFORWARD,), ratio=0.25, mapping="linear", slope=0.5), "linear +0.5"),
        (LowRank(targets=(FEEDFORWARD,), ratio=0.25, mapping="linear", slope=-0.25), "linear -0.25"),
        (
            LowRank(targets=(ATTENTION,), ratio=0.25, mapping="explicit", ratios=(0.375, 0.25, 0.125)),
            "explicit 0.375 0.25 0.125",
        ),
        (None, None),
    ],
)
def test_what_is_written_is_read_back(lowrank: LowRank | None, mapping: str | None) -> None:
    factored = Factored.of(lowrank)
    columns = factored.columns()
    assert columns.get("mapping") == mapping
    row = pd.DataFrame([columns], columns=COLUMNS).fillna({name: "" for name in COLUMNS if name != "ratio"}).iloc[0]
    assert Factored.read(row.to_dict()) == factored


def test_fields_are_those_by_which_a_claim_names_a_cell() -> None:
    lowrank = LowRank(targets=(ATTENTION, FEEDFORWARD), ratio=0.25, mapping="linear", slope=0.5)
    assert Factored.of(lowrank).fields == {
        "lowrank": "low rank",
        "lowrank.targets": f"{ATTENTION} + {FEEDFORWARD}",
        "lowrank.ratio": "0.25",
        "lowrank.mapping": "linear",
        "lowrank.init": "spectral",
        "lowrank.slope": "0.5",
        "lowrank.ratios": "",
    }
    assert set(Factored.of(None).fields.values()) == {""}
