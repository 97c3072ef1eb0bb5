"""Checks a table of losses: it has the scored utterances and conditions, with numbers that a network can give."""

from pathlib import Path

import numpy as np
import pandas as pd

from lrsms.report.validity.values import remedy_of
from lrsms.study.decoding import Decoding
from lrsms.study.run import Run

_MOST_TOKENS = 10**7
"""Largest number of tokens in one utterance."""
_MOST_NATS = 1e9
"""Largest loss of one utterance. A million tokens, each with the least probability of float32, have 1e8."""


def check_losses(path: Path, table: pd.DataFrame, scores: pd.DataFrame, run: Run, decoding: Decoding) -> None:
    """Every scored utterance has its losses under every condition once, and as many tokens under each of one corpus.

    Args:
        path: path of the table.
        table: its content, from ``load_losses``.
        scores: the score table, already checked; a diverged run has no rows in either.
        run: the run.
        decoding: which conditions name a corpus of their own.

    Raises:
        ValueError: one line.
    """
    if (twice := table.duplicated(["condition", "id"])).any():
        raise _fault(path, table[twice].iloc[0], "is given twice")
    said = scores[["condition", "id", "words"]].drop_duplicates(["condition", "id"])
    both = table.merge(said, on=["condition", "id"], how="outer", indicator=True)
    if (lonely := both["_merge"] != "both").any():
        row = both[lonely].iloc[0]
        raise _fault(path, row, "has no losses" if row["_merge"] == "right_only" else "was never scored")
    tokens, ctc, attention = (both[name].to_numpy(float) for name in ("tokens", "ctc", "attention"))
    known, decoded = tokens > 0, run.model.decoder_layers > 0
    faults = {
        f"has tokens outside 0 to {_MOST_TOKENS:,}": ~((tokens >= 0) & (tokens <= _MOST_TOKENS)),
        "has tokens without words": known & (both["words"].to_numpy(float) == 0),
        "has a CTC loss without tokens, or the reverse": np.isnan(ctc) == known,
        "has an attention loss without tokens or a decoder, or lacks it": np.isnan(attention) == (known & decoded),
        f"has a loss outside 0 to {_MOST_NATS:,.0f} nats": _outside(ctc) | _outside(attention),
    }
    for fault, rows in faults.items():
        if rows.any():
            raise _fault(path, both[rows].iloc[0], fault)
    corpora = both["condition"].map({name: one.corpus or "" for name, one in decoding.conditions.items()})
    if (unlike := both.groupby([corpora, "id"])["tokens"].transform("nunique") > 1).any():
        raise _fault(path, both[unlike].iloc[0], "has other tokens than under another condition")


def _outside(nats: np.ndarray) -> np.ndarray:
    return ~np.isnan(nats) & ~((nats >= 0) & (nats <= _MOST_NATS))


def _fault(path: Path, row: pd.Series, fault: str) -> ValueError:
    where = f"utterance '{row['id']}', condition '{row['condition']}'"
    return ValueError(f"{path}: {where}, {fault}; {remedy_of(path)}")
