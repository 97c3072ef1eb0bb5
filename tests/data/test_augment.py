"""Facts about what is drawn for an utterance, and about what masks hide."""

from collections import Counter

import numpy as np
import pytest
import torch

from lrsms.base.random_streams import stream
from lrsms.data import augment
from lrsms.data.prepared import Item
from lrsms.study.decoding import Condition
from lrsms.study.frames import FEATURES_PER_SECOND, SAMPLE_RATE
from lrsms.study.run import Augment

AUGMENT = Augment(time_masks=2.0, time_width=0.4, mel_masks=3, mel_width=8)


def test_masks_are_a_function_of_their_stream():
    def draw(utterance: str) -> augment.Masks:
        return augment.draw_masks(75, AUGMENT, 40, stream(1, "augment", 0, utterance))

    assert draw("a") == draw("a")
    assert draw("a") != draw("b")


@pytest.mark.parametrize(("frames", "num_masks"), [(25, 2), (75, 6), (250, 20)])
def test_time_masks_grow_with_length_and_stay_inside_it(frames, num_masks):
    masks = augment.draw_masks(frames, AUGMENT, 40, stream(1, "test"))
    assert len(masks.times) == num_masks
    assert len(masks.mels) == 3
    assert all(0 <= start <= end <= frames / 25 + 1e-9 and end - start <= 0.4 + 1e-9 for start, end in masks.times)
    assert all(0 <= low <= high <= 40 and high - low <= 8 for low, high in masks.mels)


def test_widths_are_uniform_up_to_and_with_the_largest():
    generator = stream(1, "test")
    drawn = [augment.draw_masks(250, AUGMENT, 40, generator) for _ in range(500)]
    widths = np.array([end - start for masks in drawn for start, end in masks.times])
    assert widths.mean() == pytest.approx(0.2, abs=0.005)
    assert widths.max() == pytest.approx(0.4, abs=0.002)
    bands, counts = np.unique([high - low for masks in drawn for low, high in masks.mels], return_counts=True)
    np.testing.assert_array_equal(bands, np.arange(9))
    assert counts.min() > 0.7 * counts.max()


def test_a_mask_is_no_wider_than_its_utterance_and_waves_have_no_bands():
    wide = Augment(time_masks=20.0, time_width=2.0, mel_masks=2, mel_width=99)
    masks = augment.draw_masks(10, wide, 0, stream(1, "test"))
    assert len(masks.times) == 8
    assert masks.mels == ()
    assert all(0 <= start <= end <= 0.4 + 1e-9 for start, end in masks.times)


def test_masks_set_exactly_their_spans_to_zero():
    masks = [augment.Masks(times=((0.10, 0.20),), mels=((3, 5),)), augment.Masks(times=(), mels=())]
    features = augment.apply_masks(torch.ones(2, 100, 8), masks, FEATURES_PER_SECOND)
    hidden = features == 0
    assert hidden[0, 10:20].all()
    assert hidden[0, :, 3:5].all()
    assert hidden.sum() == 10 * 8 + 90 * 2
    waves = augment.apply_masks(torch.ones(2, 16_000), masks, SAMPLE_RATE)
    assert (waves[0, 1_600:3_200] == 0).all()
    assert (waves == 0).sum() == 1_600


def item(name: str, frames: int = 75) -> Item:
    return Item(name, "train", "s1", "ab", frames, 0, (1, 2))


def test_without_augmentation_an_asr_utterance_is_left_as_it_is(make_run):
    run = make_run(train__augment=None)
    assert augment.training_draw(item("a"), run, 0) == augment.Draw()


def test_audio_masks_are_those_of_their_own_stream_whatever_else_is_drawn(make_run):
    for run in (make_run(), make_run(train__noise={"kind": "white", "snrs": [0]}), make_run("avsr")):
        expected = augment.draw_masks(75, run.train.augment, 20, stream(run.seed, "augment", 3, "a"))
        assert augment.training_draw(item("a"), run, 3).masks == expected


@pytest.mark.parametrize("task", ["asr", "vsr", "avsr"])
def test_a_draw_is_a_function_of_seed_epoch_and_utterance(make_run, task):
    run = make_run(task)
    draw = augment.training_draw(item("a"), run, 0)
    torch.rand(5)
    assert augment.training_draw(item("a"), run, 0) == draw
    assert augment.training_draw(item("b"), run, 0) != draw
    assert augment.training_draw(item("a"), run, 1) != draw
    assert augment.training_draw(item("a"), make_run(task, seed=2), 0) != draw


def test_only_what_a_task_has_is_drawn(make_run):
    heard, seen = (augment.training_draw(item("a"), make_run(task), 0) for task in ("asr", "vsr"))
    assert heard.masks is not None and (heard.hidden, heard.corner) == ((), (4, 4))
    assert seen.masks is None and seen.noise is None and seen.hidden
    assert heard.present == seen.present == (True, True)


def test_crops_are_uniform_over_all_81_corners(make_run):
    run = make_run("vsr")
    corners = Counter(augment.training_draw(item(f"u{n}", 5), run, 0).corner for n in range(4_000))
    assert len(corners) == 81
    assert set(corners) == {(row, column) for row in range(9) for column in range(9)}
    assert max(corners.values()) < 3 * min(corners.values())


def test_half_of_the_videos_are_mirrored_if_asked(make_run):
    for flip, low, high in ((True, 0.45, 0.55), (None, 0, 0)):
        run = make_run("vsr", train__augment__flip=flip)
        share = np.mean([augment.training_draw(item(f"u{n}", 5), run, 0).mirrored for n in range(1_500)])
        assert low <= share <= high


def test_a_modality_is_absent_as_often_as_asked_and_never_both(make_run):
    run = make_run("avsr", train__modality_dropout=0.3)
    counts = Counter(augment.training_draw(item(f"u{n}", 5), run, 0).present for n in range(3_000))
    assert set(counts) == {(True, True), (True, False), (False, True)}
    assert counts[True, True] / 3_000 == pytest.approx(0.7, abs=0.03)
    assert counts[True, False] / 3_000 == pytest.approx(0.15, abs=0.025)


def test_every_ratio_is_equally_likely_and_clean_is_none(make_run):
    snrs = [-5, 0, 5, "clean"]
    run = make_run(train__noise={"kind": "babble", "snrs": snrs})
    draws = [augment.training_draw(item(f"u{n}", 5), run, 0).noise for n in range(2_000)]
    counts = Counter(noise.snr if noise is not None else "clean" for noise in draws)
    assert set(counts) == set(snrs)
    assert min(counts.values()) > 430
    assert len({noise.seed for noise in draws if noise is not None}) == sum(noise is not None for noise in draws)


def test_a_condition_s_noise_depends_on_its_kind_and_the_utterance_alone():
    def draw(name: str, kind: str, snr: float, split: str = "test") -> augment.NoiseDraw | None:
        return augment.condition_draw(item(name), Condition(split=split, noise=kind, snr=snr)).noise

    assert draw("a", "babble", 0).seed == draw("a", "babble", -5).seed == draw("a", "babble", 0, "valid").seed
    assert len({draw("a", "babble", 0).seed, draw("b", "babble", 0).seed, draw("a", "white", 0).seed}) == 3
    assert draw("a", "white", -5).snr == -5


def test_a_condition_takes_a_modality_away():
    plain = augment.condition_draw(item("a"), Condition(split="test"))
    assert plain == augment.Draw()
    without = [augment.condition_draw(item("a"), Condition(split="test", without=m)) for m in ("audio", "video")]
    assert [draw.present for draw in without] == [(False, True), (True, False)]
