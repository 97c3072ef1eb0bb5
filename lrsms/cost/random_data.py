"""Batches of random data, as full as a run's own: a training step takes as long on them as on speech."""

import torch

from lrsms.data.batch import Batch
from lrsms.data.prepared import Item
from lrsms.study.frames import CROP, SAMPLES_PER_FRAME
from lrsms.study.run import Run

FRAMES = 100
"""Frames of every random utterance: 4 s."""
CHARACTERS_PER_UTTERANCE, PIECES_PER_UTTERANCE = 50, 16
NUM_CHARACTERS = 30
"""Assumed vocabulary of a character tokenizer; its true size depends on the corpus."""


def vocabulary(run: Run) -> int:
    """Vocabulary size V of a network for random data: pieces or characters, the blank, and sos/eos."""
    return (run.tokenizer.pieces or NUM_CHARACTERS) + 2


def num_tokens(run: Run) -> int:
    """Number of tokens in a random transcript, for an utterance of ``FRAMES`` frames."""
    return PIECES_PER_UTTERANCE if run.tokenizer.pieces else CHARACTERS_PER_UTTERANCE


def filled(group_frames: int) -> tuple[int, int]:
    """Utterances of a full group, and their frames: ``FRAMES`` or a little less, so that the group is full."""
    num_utterances = -(-group_frames // FRAMES)
    return num_utterances, group_frames // num_utterances


def random_batch(run: Run, size: int, num_tokens: int) -> Batch:
    """A full group of noise with random transcripts of ``num_tokens`` of ``size`` tokens."""
    num_utterances, frames = filled(run.train.group_frames)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, size - 1, (num_utterances, num_tokens), generator=generator)
    waves = video = None
    if "audio" in run.model.modalities:
        waves = 0.1 * torch.randn(num_utterances, SAMPLES_PER_FRAME * frames, generator=generator)
    if "video" in run.model.modalities:
        shape = (num_utterances, frames, CROP, CROP)
        video = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return Batch(
        items=tuple(Item(str(i), "train", "", "", frames, 0, ()) for i in range(num_utterances)),
        waves=waves,
        video=video,
        lengths=torch.full((num_utterances,), frames),
        tokens=tokens,
        token_lengths=torch.full((num_utterances,), num_tokens),
    )
