"""CTC loss: -ln of the probability that the CTC head gives the reference, per token of it."""

import pandas as pd

from lrsms.record.metric import Array, nats_per_token


def _counts(losses: pd.DataFrame) -> tuple[Array, Array]:
    loss, tokens = losses["ctc"], losses["tokens"]
    return loss.fillna(0).to_numpy(float), tokens.where(loss.notna(), 0).to_numpy(float)


METRIC = nats_per_token(
    "CTC loss",
    _counts,
    "-ln of the probability that the CTC head gives the reference",
)
