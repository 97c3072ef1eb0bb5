"""Word error rate: words substituted, deleted and inserted, of those that were said."""

import pandas as pd

from lrsms.record.metric import Array, Metric
from lrsms.record.score import EDITS


def _counts(scores: pd.DataFrame) -> tuple[Array, Array]:
    return scores[[*EDITS]].sum(axis=1).to_numpy(float), scores["words"].to_numpy(float)


METRIC = Metric(
    short="WER",
    name="word error rate",
    noun="word",
    plural="words",
    counts=_counts,
    explained="words substituted, deleted and inserted, of those that were said",
)
