"""Attention loss: -ln of the probability that the decoder gives the reference and its end, per token of both."""

import pandas as pd

from lrsms.record.metric import Array, nats_per_token


def _counts(losses: pd.DataFrame) -> tuple[Array, Array]:
    loss, tokens = losses["attention"], losses["tokens"]
    return loss.fillna(0).to_numpy(float), (tokens + 1).where(loss.notna(), 0).to_numpy(float)


METRIC = nats_per_token(
    "attention loss",
    _counts,
    "-ln of the probability that the decoder gives the reference and its end, without label smoothing",
)
