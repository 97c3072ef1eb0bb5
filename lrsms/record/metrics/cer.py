"""Character error rate: characters substituted, deleted and inserted, of those that were said."""

import pandas as pd

from lrsms.record.metric import Array, Metric


def _counts(scores: pd.DataFrame) -> tuple[Array, Array]:
    return scores["character_edits"].to_numpy(float), scores["characters"].to_numpy(float)


METRIC = Metric(
    short="CER",
    name="character error rate",
    noun="character",
    plural="characters",
    counts=_counts,
    explained="characters substituted, deleted and inserted, of those that were said",
)
