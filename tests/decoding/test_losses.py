"""Losses of an utterance are those of the plain definitions, whatever shares its batch."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from small import AUDIOVISUAL, SIZE, VISUAL, small_inputs, small_recognizer, small_video

from lrsms.decoding import passes
from lrsms.decoding.decode import decode
from lrsms.models.recognizer import Recognizer
from lrsms.record.losses import load_losses
from lrsms.study.decoding import Condition, Decoding

CPU = torch.device("cpu")
LENGTHS = torch.tensor([7, 4, 6])
TOKENS = torch.tensor([[3, 3, 9], [5, 0, 0], [1, 2, 0]])
TOKEN_LENGTHS = torch.tensor([3, 1, 2])
INPUTS = {
    "asr": ({}, lambda: (small_inputs("logmel", 3, 7), None)),
    "vsr": (VISUAL, lambda: (None, small_video(3, 7))),
    "avsr": (AUDIOVISUAL, lambda: (small_inputs("logmel", 3, 7), small_video(3, 7))),
}


def losses(model: Recognizer, heard, seen, rows: list[int]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Of some of the utterances, batched together."""
    frames = int(LENGTHS[rows].max())
    audio = None if heard is None else heard[rows][:, : 4 * frames]
    video = None if seen is None else seen[rows][:, :frames]
    with torch.no_grad():
        memory, _ = model.encode(audio, video, LENGTHS[rows])
        tokens = TOKENS[rows][:, : int(TOKEN_LENGTHS[rows].max())]
        log_probs = model.ctc_log_probs(memory)
        return model.utterance_losses(memory, log_probs, LENGTHS[rows], tokens, TOKEN_LENGTHS[rows])


@pytest.mark.parametrize("task", INPUTS)
@pytest.mark.parametrize("layers", [2, 0])
def test_losses_are_those_of_torch_for_each_utterance_alone(task: str, layers: int) -> None:
    changes, inputs = INPUTS[task]
    model = small_recognizer(**changes, decoder_layers=layers).eval()
    heard, seen = inputs()
    ctc, attention = losses(model, heard, seen, [0, 1, 2])
    assert (attention is None) == (layers == 0)
    for row in range(3):
        frames, said = int(LENGTHS[row]), TOKENS[row, : TOKEN_LENGTHS[row]]
        audio = None if heard is None else heard[row : row + 1, : 4 * frames]
        video = None if seen is None else seen[row : row + 1, :frames]
        with torch.no_grad():
            memory, mask = model.encode(audio, video, LENGTHS[row : row + 1])
            log_probs = model.ctc(memory)[0].log_softmax(-1).unsqueeze(1)
            expected = F.ctc_loss(log_probs, said[None], (frames,), (len(said),), reduction="sum")
            assert ctc[row].item() == pytest.approx(expected.item(), rel=1e-9)
            if attention is not None:
                end = torch.tensor([SIZE - 1])
                logits = model.decoder(torch.cat([end, said])[None], memory, mask)[0]
                expected = F.cross_entropy(logits, torch.cat([said, end]), reduction="sum")
                assert attention[row].item() == pytest.approx(expected.item(), rel=1e-9)


def test_their_sum_is_what_training_sees_without_label_smoothing() -> None:
    model = small_recognizer().eval()
    heard = small_inputs("logmel", 3, 7)
    with torch.no_grad():
        trained = model(heard, None, LENGTHS, TOKENS, TOKEN_LENGTHS, label_smoothing=0.0)
    ctc, attention = losses(model, heard, None, [0, 1, 2])
    assert trained.attention is not None and attention is not None
    assert ctc.sum().item() == pytest.approx(trained.ctc.item(), rel=1e-9)
    assert attention.sum().item() == pytest.approx(trained.attention.item(), rel=1e-9)


@pytest.fixture(scope="module")
def found(trained: Path, make_run, prepared, decoding, tmp_path_factory) -> dict[int, pd.DataFrame]:
    """What decoding wrote of two conditions, by the frames of a batch."""
    conditions = {"seen": Condition(split="valid"), "unseen": Condition(split="test")}
    tables = {}
    before = passes.BATCH_FRAMES
    for frames in (1, 150, before):
        passes.BATCH_FRAMES = frames
        path = tmp_path_factory.mktemp("decoded") / "out.jsonl"
        asked = Decoding(decoders={"greedy": decoding.decoders["greedy"]}, conditions=conditions)
        decode(make_run(), prepared, trained, path, asked, CPU)
        tables[frames] = load_losses(path)
    passes.BATCH_FRAMES = before
    return tables


def test_every_utterance_has_its_losses_under_every_condition_once(found, prepared) -> None:
    expected = {
        (name, item.id): len(item.tokens)
        for name, split in (("seen", "valid"), ("unseen", "test"))
        for item in prepared.items(split)
    }
    for table in found.values():
        assert dict(zip(zip(table["condition"], table["id"], strict=True), table["tokens"], strict=True)) == expected
        assert (table[["ctc", "attention"]] > 0).all(axis=None)


def test_losses_do_not_depend_on_the_batch(found) -> None:
    one, *others = found.values()
    for other in others:
        np.testing.assert_allclose(one[["ctc", "attention"]], other[["ctc", "attention"]], rtol=1e-4, atol=1e-4)


def test_a_reference_that_nobody_can_spell_or_align_has_no_loss(
    trained, make_run, prepared, decoding, tmp_path, monkeypatch
) -> None:
    first, second, *others = prepared.items("test")
    strange = dataclasses.replace(first, text="\u00e9\u00e9 xyz", tokens=())
    long = dataclasses.replace(second, text=second.text * 50, tokens=second.tokens * 50)
    monkeypatch.setattr(type(prepared), "items", lambda self, split: [strange, long, *others])
    decode(make_run(), prepared, trained, tmp_path / "out.jsonl", decoding, CPU)
    table = load_losses(tmp_path / "out.jsonl").set_index("id")
    for name in (first.id, second.id):
        assert table.loc[name, "tokens"] == 0 and np.isnan(table.loc[name, ["ctc", "attention"]].astype(float)).all()
    assert (table.loc[[item.id for item in others], "ctc"] > 0).all()
