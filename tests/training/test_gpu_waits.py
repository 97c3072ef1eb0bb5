"""A training step waits for the GPU once: when its losses and norm are brought to the host."""

import warnings
from dataclasses import replace

import pytest
import torch
from small import AUDIOVISUAL, VISUAL, small_run

from lrsms.cost.steptime import TrainingStep
from lrsms.models import recognizer

ABSENT = torch.tensor([[True, True], [True, False], [False, True]])
NETWORKS = {"features": {}, "waves": {"frontend": "wave", "mels": None}, "video": VISUAL, "both": AUDIOVISUAL}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="waits are those for a CUDA device")
@pytest.mark.parametrize("network", NETWORKS)
def test_a_step_waits_for_the_gpu_once(network, monkeypatch):
    """But for CTC: PyTorch's own copies its lengths to the GPU and waits, wherever they are."""
    monkeypatch.setattr(recognizer, "ctc_loss", lambda log_probs, *_: -log_probs.mean())
    run = small_run(**NETWORKS[network])
    run = run.model_copy(update={"train": run.train.model_copy(update={"group_frames": 300})})
    step = TrainingStep(run, torch.device("cuda"))
    lengths = torch.tensor([100, 80, 60])
    step.batches = [replace(batch, lengths=lengths) for batch in step.batches]
    if network == "both":
        step.batches = [replace(batch, present=ABSENT) for batch in step.batches]
    for _ in range(3):
        step()
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    waits = [str(warning.message) for warning in caught if "called a synchronizing" in str(warning.message)]
    assert len(waits) == 1, waits
