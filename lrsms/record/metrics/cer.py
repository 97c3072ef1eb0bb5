"""Character error rate: characters substituted, deleted and inserted, of those that were said."""

import pandas as pd

from lrsms.record.metric import Array, Metric


def _counts(scores: pd.DataFrame) -> tuple[Array, Array]:
    return scores["character_edits"].to_numpy(float), scores["characters"].to_numpy(float)


METRIC = Metric("CER", "character error rate", "character", "characters", _counts)
