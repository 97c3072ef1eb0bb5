"""Validation during training: on the valid split, never on the test split."""

from contextlib import closing

import torch

from lrsms.data.ahead import load_ahead
from lrsms.data.batch import Batch, collate, in_batches
from lrsms.data.prepared import Item, Prepared
from lrsms.data.spelling import normalise
from lrsms.decoding.ctc_search import greedy
from lrsms.models.recognizer import Recognizer
from lrsms.record.score import align
from lrsms.study.run import Run
from lrsms.training.distributed import ALONE, Ranks
from lrsms.training.interrupt import Interrupted, Stop, never
from lrsms.training.step import group_losses


@torch.no_grad()
def validate(
    model: Recognizer,
    run: Run,
    prepared: Prepared,
    items: list[Item],
    device: torch.device,
    ranks: Ranks = ALONE,
    stop: Stop = never,
) -> dict[str, float]:
    """Loss and greedy error rate of the current weights; words or characters as the corpus counts.

    Afterwards the model is in training mode again.

    Ranks take batches in turn, and the results do not depend on their number.

    Raises:
        Interrupted: at all ranks, if one was asked to stop.
    """
    batches = list(in_batches(items, run.train.group_frames))
    losses = [0.0] * len(batches)
    edits = words = 0
    interrupted = False

    def load(index: int) -> tuple[int, Batch]:
        return index, collate(prepared, batches[index]).for_device(device)

    model.eval()
    with closing(load_ahead(ranks.share(range(len(batches))), load)) as loaded:
        for index, batch in loaded:
            if interrupted := stop():
                break
            found = group_losses(model, run, batch, device)
            losses[index] = found.joint(run.train.ctc_weight).item()
            hypotheses = greedy(found.log_probs, batch.lengths.to(device))
            for item, tokens in zip(batch.items, hypotheses, strict=True):
                hypothesis = normalise(prepared.tokenizer.decode(tokens), run.corpus)
                alignment = align(item.text, hypothesis, run.corpus.unit)
                edits, words = edits + alignment.edits, words + alignment.words
    model.train()
    *losses, edits_of_all, words_of_all, num_interrupted = ranks.totals([*losses, edits, words, interrupted])
    if num_interrupted:
        raise Interrupted
    total = 0.0
    for value in losses:  # in the batches' order for any number of ranks; sum() rounds differently in newer Pythons
        total += value
    assert words_of_all, "the valid split has no words"
    return {"valid_loss": total / len(items), "valid_wer": edits_of_all / words_of_all}
