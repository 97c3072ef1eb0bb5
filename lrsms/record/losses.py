"""Losses per utterance: how improbable a trained network finds each reference, by its CTC head and by its decoder.

``<name>.loss.csv.gz`` lies beside a run's hypotheses ``<name>.jsonl``, and beside its score table in the record. It has
a row for each condition and utterance, of all splits that were decoded: losses are of the network alone, whatever
searches it afterwards. Records from before losses were kept lack the file.

A reference that the tokenizer cannot spell, or that needs more frames for CTC than there are, has no loss: its row has
no tokens. Its errors count in the score table all the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lrsms.base.csvfile import guarded, unguard
from lrsms.base.files import write_atomically
from lrsms.record.run_files import losses_path
from lrsms.record.zipped import opened, zipped

COLUMNS = ("condition", "id", "tokens", "ctc", "attention")
_TYPES = {"condition": "str", "id": "str", "tokens": "int64", "ctc": "float64", "attention": "float64"}


@dataclass(frozen=True)
class Loss:
    """One row, in nats.

    Attributes:
        condition: under which the utterance was heard or seen.
        id: of the utterance.
        tokens: of the reference, the end of the sentence not among them; 0 where it has no loss.
        ctc: -ln of the probability that the CTC head gives the reference, all alignments taken together; None where it
            has no loss.
        attention: -ln of the probability that the decoder gives the reference and its end, each token after the true
            ones before it, without label smoothing; None where it has no loss, or the model no decoder.
    """

    condition: str
    id: str
    tokens: int
    ctc: float | None = None
    attention: float | None = None


def write_losses(path: Path, rows: Iterable[Loss]) -> None:
    """Writes the losses beside hypotheses, to a millionth of a nat; of a diverged run there are none."""
    ordered = sorted(rows, key=lambda row: (row.id, row.condition))
    table = ((row.condition, guarded(row.id), row.tokens, *map(_nats, (row.ctc, row.attention))) for row in ordered)
    write_atomically(losses_path(path), zipped(COLUMNS, table))


def load_losses(scores: Path) -> pd.DataFrame | None:
    """The losses beside a score table: ``COLUMNS``, NaN where there is none; None if the file is absent.

    Raises:
        ValueError: the file is torn or too large, or no such table.
    """
    path = losses_path(scores)
    if not path.is_file():
        return None
    numbers = {name: [""] for name, kind in _TYPES.items() if kind != "str"}
    with opened(path, "table of losses", "restore it, or delete it to do without") as file:
        table = pd.read_csv(file, dtype=_TYPES, keep_default_na=False, na_values=numbers)
        if tuple(table.columns) != COLUMNS:
            raise ValueError(f"its columns are {', '.join(table.columns)}, expected {', '.join(COLUMNS)}")
    return unguard(table, ("condition", "id"))


def _nats(loss: float | None) -> object:
    return "" if loss is None else round(loss, 6)
