"""Losses that cannot be, or that belong to another record, are refused in one line."""

from pathlib import Path
from typing import Any

import fabricate
import pandas as pd
import pytest
from valid_records import SCORES, change, make, refusal, rewrite, sealed

from lrsms.record.losses import write_losses
from lrsms.record.run_files import losses_path
from lrsms.study.expand import Experiment


def with_losses(study: tuple[list[Experiment], Path], edit: Any) -> Path:
    """Losses beside the scores of the second run, edited."""
    path = losses_path(study[1] / SCORES)
    write_losses(study[1] / SCORES, fabricate.losses(pd.read_csv(study[1] / SCORES, keep_default_na=False)))
    rewrite(path, edit)
    return path


def put(table: pd.DataFrame, **values: Any) -> pd.DataFrame:
    """The table with other values in its first row."""
    return table.astype(dict.fromkeys(values, object)).assign(
        **{name: [value, *table[name].iloc[1:]] for name, value in values.items()}
    )


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda table: table.iloc[1:], "utterance '00-0', condition 'test', has no losses"),
        (lambda table: put(table, id="99-9"), "condition 'test', has"),
        (lambda table: pd.concat([table, table.iloc[:1]]), "is given twice"),
        (lambda table: table.replace({"condition": {"test": "other"}}), "condition 'other', was never scored"),
        (lambda table: put(table, ctc=-0.5), "has a loss outside 0 to 1,000,000,000 nats"),
        (lambda table: put(table, ctc="inf"), "has a loss outside"),
        (lambda table: put(table, ctc=1e30), "has a loss outside"),
        (lambda table: put(table, ctc=""), "has a CTC loss without tokens, or the reverse"),
        (lambda table: put(table, tokens=0), "has a CTC loss without tokens, or the reverse"),
        (lambda table: put(table, attention=1.0), "has an attention loss without tokens or a decoder, or lacks it"),
        (lambda table: put(table, tokens=-1), "has tokens outside 0 to 10,000,000"),
        (lambda table: put(table, tokens=25), "has other tokens than under another condition"),
    ],
)
def test_losses_are_of_what_was_scored_and_can_be(study, edit, said) -> None:
    assert said in refusal(study, with_losses(study, edit))


def test_losses_are_whole_and_belong_to_their_record(study, tmp_path) -> None:
    path = with_losses(study, lambda table: table)
    make(study[0], tmp_path)
    sealed(study[1])
    make(study[0], tmp_path)
    rewrite(path, lambda table: table.assign(ctc=table["ctc"] * 2))
    with pytest.raises(ValueError, match=rf"{SCORES}: does not belong to this scores-\w+\.loss\.csv\.gz"):
        make(study[0], tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"loss\.csv\.gz: not a complete table of losses .*; restore it, or delete it"):
        make(study[0], tmp_path)


def test_a_diverged_run_has_no_losses(study, tmp_path) -> None:
    folder = study[1]
    with_losses(study, lambda table: table.iloc[:0])
    rewrite(folder / SCORES, lambda table: table.iloc[:0])
    (folder / "spectra.json").unlink()
    (folder / "curve.csv").unlink()
    change(folder / "run.json", status="diverged", diverged_at=7)
    make(study[0], tmp_path)
