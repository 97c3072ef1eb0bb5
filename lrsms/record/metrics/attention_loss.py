"""Attention loss: -ln of the probability that the decoder gives the reference and its end, per token of both."""

import pandas as pd

from lrsms.record.metric import Array, Metric


def _counts(losses: pd.DataFrame) -> tuple[Array, Array]:
    loss, tokens = losses["attention"], losses["tokens"]
    return loss.fillna(0).to_numpy(float), (tokens + 1).where(loss.notna(), 0).to_numpy(float)


METRIC = Metric(
    short="attention loss",
    name="attention loss",
    noun="token",
    plural="tokens",
    counts=_counts,
    explained="-ln of the probability that the decoder gives the reference and its end, without label smoothing",
    source="losses",
    scale=1.0,
    unit="nats per token",
    suffix="nats",
    points="nats per token",
    digits=3,
)
