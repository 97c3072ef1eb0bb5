"""Says in words which length bonuses the runs of a study took."""

import pandas as pd

from lrsms.report.aggregate import CHOSEN


def describe_bonuses(runs: pd.DataFrame) -> list[str]:
    """A sentence for each decoder that has a list of length bonuses; none if no run is finished.

    Args:
        runs: rows of ``runs.csv``.
    """
    if CHOSEN not in runs.columns:
        return []
    chosen = runs.dropna(subset=[CHOSEN]).drop_duplicates(["run", "decoder"])
    sentences = []
    for decoder, rows in chosen.groupby("decoder", sort=False):
        counts = rows[CHOSEN].value_counts().sort_index()
        taken = ", ".join(f"{bonus:g} in {count}" for bonus, count in counts.items())
        sentences.append(
            f"Length bonus of {decoder}: for each run the one of the lowest WER on validation; {taken} of {len(rows)}"
            f" run{'s' if len(rows) != 1 else ''}."
        )
    return sentences
