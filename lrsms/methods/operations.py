"""The cost of a model: parameters by part, and multiply-adds per second of speech."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lrsms.methods.plan import Matrix, summary
from lrsms.study.frames import CROP, FEATURES_PER_FRAME, FRAMES_PER_SECOND, SAMPLES_PER_FRAME
from lrsms.study.run import Run


def plan_summary(model: nn.Module, plan: Sequence[Matrix]) -> dict[str, Any]:
    """The content of ``plan.json``: every matrix with its role, ranks and parameters, and the model's totals.

    See ``plan.summary``.
    """
    return summary(sum(parameter.numel() for parameter in model.parameters()), plan)


def check_plan(plan: Mapping[str, Any], matrices: Sequence[Matrix], weights: Mapping[str, Tensor]) -> None:
    """Refuses a plan that does not describe the trained model.

    Args:
        plan: the content of ``plan.json``.
        matrices: the matrices from which it was made.
        weights: the trained model's parameters by name, without buffers.

    Raises:
        ValueError: one line: a matrix was trained at another rank than planned, or the numbers of parameters differ.
    """
    remedy = "tables would show a wrong size; code that changes a model must make the plan of its last form"
    for matrix in matrices:
        factor = weights.get(f"{matrix.name}.u")
        planned, trained = (
            "full rank" if rank is None else f"rank {rank}"
            for rank in (matrix.rank, factor.shape[1] if factor is not None else None)
        )
        if planned != trained:
            raise ValueError(f"plan.json has '{matrix.name}' at {planned}, but it was trained at {trained}: {remedy}")
    total = sum(weight.numel() for weight in weights.values())
    if plan["parameters"] != total:
        raise ValueError(f"plan.json counts {plan['parameters']:,} parameters, but {total:,} were trained: {remedy}")


def parameters_by_part(model: nn.Module) -> dict[str, int]:
    """Parameters of each front end, its projection and its encoder, of fusion, the CTC head and the decoder."""
    parts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        part, _, rest = name.partition(".")
        if rest.startswith("projection."):
            part += ".projection"
        parts[part] = parts.get(part, 0) + parameter.numel()
    return parts


def multiply_adds_per_second(run: Run, structure: nn.Module, frames: int, tokens: int) -> float:
    """Multiply-adds of one forward pass (teacher-forced decoder included) per second of speech.

    Args:
        run: the run.
        structure: its network on the meta device.
        frames: length of a typical utterance.
        tokens: length of its transcript.
    """
    audio, video, lengths, transcript = inputs_without_memory(run, 1, frames, tokens)
    structure.eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        memory, mask = structure.encode(audio, video, lengths)  # type: ignore[operator]
        structure.ctc_log_probs(memory)  # type: ignore[operator]
        if run.model.decoder_layers:
            structure.decoder(transcript, memory, mask)  # type: ignore[operator]
    return counter.get_total_flops() / 2 / (frames / FRAMES_PER_SECOND)


def inputs_without_memory(
    run: Run, num_utterances: int, frames: int, tokens: int
) -> tuple[Tensor | None, Tensor | None, Tensor, Tensor]:
    """The inputs of a network for B utterances of T frames and U tokens, on the meta device, which has only shapes.

    Returns:
        Features ``(B, 4T, F)`` or waves ``(B, 640 T)``, and video ``(B, T, 88, 88)``; None for a modality that the
        model lacks. Then lengths ``(B,)``, and the decoder's input ``(B, U + 1)``.
    """
    audio = video = None
    with torch.device("meta"):
        lengths = torch.full((num_utterances,), frames)
        if run.model.mels is not None:
            audio = torch.empty(num_utterances, FEATURES_PER_FRAME * frames, run.model.mels)
        elif "audio" in run.model.modalities:
            audio = torch.empty(num_utterances, SAMPLES_PER_FRAME * frames)
        if "video" in run.model.modalities:
            video = torch.empty(num_utterances, frames, CROP, CROP)
        transcript = torch.zeros(num_utterances, tokens + 1, dtype=torch.long)
    return audio, video, lengths, transcript
