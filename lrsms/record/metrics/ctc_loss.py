"""CTC loss: -ln of the probability that the CTC head gives the reference, per token of it."""

import pandas as pd

from lrsms.record.metric import Array, Metric


def _counts(losses: pd.DataFrame) -> tuple[Array, Array]:
    loss, tokens = losses["ctc"], losses["tokens"]
    return loss.fillna(0).to_numpy(float), tokens.where(loss.notna(), 0).to_numpy(float)


METRIC = Metric(
    short="CTC loss",
    name="CTC loss",
    noun="token",
    plural="tokens",
    counts=_counts,
    explained="-ln of the probability that the CTC head gives the reference",
    source="losses",
    scale=1.0,
    unit="nats per token",
    suffix="nats",
    points="nats per token",
    digits=3,
)
