"""Losses of each utterance of a batch, from the network outputs that decoding computes."""

from torch import Tensor

from lrsms.data.batch import Batch
from lrsms.data.skipping import spelling_problem
from lrsms.data.text import Tokenizer
from lrsms.models.recognizer import Recognizer
from lrsms.record.losses import Loss


def batch_losses(
    model: Recognizer, tokenizer: Tokenizer, batch: Batch, condition: str, memory: Tensor, log_probs: Tensor
) -> list[Loss]:
    """The losses of a batch, in its order; they do not depend on which utterances share it.

    Args:
        model: the model in eval mode.
        tokenizer: the tokenizer of the references.
        batch: the utterances.
        condition: name of the test condition.
        memory: ``(B, T, D)``.
        log_probs: log-probabilities of the CTC head, ``(B, T, V)``.
    """
    spelled = [
        spelling_problem(item.text, item.frames, tokenizer) is None and bool(item.tokens) for item in batch.items
    ]
    rows = [row for row, known in enumerate(spelled) if known]
    losses = [Loss(condition, item.id, 0) for item in batch.items]
    if not rows:
        return losses
    tokens = batch.tokens[rows].to(memory.device)
    ctc, attention = model.utterance_losses(
        memory[rows], log_probs[rows], batch.lengths[rows], tokens, batch.token_lengths[rows]
    )
    by_decoder = [None] * len(rows) if attention is None else attention.tolist()
    for row, *both in zip(rows, ctc.tolist(), by_decoder, strict=True):
        nats = [None if loss is None else max(loss, 0.0) for loss in both]  # a sum of rounded terms may be -1e-9
        losses[row] = Loss(condition, batch.items[row].id, len(batch.items[row].tokens), *nats)
    return losses
