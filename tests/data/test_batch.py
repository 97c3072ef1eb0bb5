"""Facts about groups: what is padded, masked, cropped and mixed in."""

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from talking import make

from lrsms.base.random_streams import stream
from lrsms.data import noise, video
from lrsms.data.audio import log_mel, normalise_waves
from lrsms.data.augment import Draw, apply_masks, draw_masks, training_draw
from lrsms.data.batch import collate, condition_batch, in_batches, network_inputs, normalise_video, training_batch
from lrsms.data.prepare import prepare
from lrsms.data.prepared import Prepared
from lrsms.study.corpus import AutoAvsr, Manifest
from lrsms.study.decoding import Condition
from lrsms.study.frames import FEATURES_PER_SECOND
from lrsms.study.run import Model, Tokenizer

CPU = torch.device("cpu")
BLACK = (0 - 0.421) / 0.165


@pytest.fixture(scope="module")
def talking(tmp_path_factory) -> Prepared:
    """Twenty utterances with audio and video; u2 is two frames shorter."""
    folder = tmp_path_factory.mktemp("talking")
    root = make(folder / "root", pictures=True)
    video.write(root / "u2.mp4", video.read(root / "u2.mp4").frames[:6])
    corpus, tokenizer = Manifest(kind="manifest", name="mine"), Tokenizer(kind="characters")
    prepare(corpus, tokenizer, ("audio", "video"), root, folder / "out")
    return Prepared(folder / "out")


def test_a_group_is_padded_to_its_longest(prepared):
    items = prepared.items("train")[:5]
    batch = collate(prepared, items)
    longest = max(item.frames for item in items)
    assert batch.waves.shape == (5, 640 * longest)
    assert batch.video is None
    assert batch.present is None
    assert batch.lengths.tolist() == [item.frames for item in items]
    assert batch.token_lengths.tolist() == [len(item.tokens) for item in items]
    for row, item in enumerate(items):
        np.testing.assert_array_equal(batch.waves[row, : 640 * item.frames], prepared.wave(item))
        assert not batch.waves[row, 640 * item.frames :].any()
        assert batch.tokens[row].tolist() == list(item.tokens) + [0] * (batch.tokens.shape[1] - len(item.tokens))


def test_features_are_masked_only_where_masks_are_drawn(prepared, make_run):
    run = make_run()
    items = prepared.items("train")[:3]
    plain, nothing = network_inputs(collate(prepared, items), run.model, CPU)
    batch = training_batch(prepared, items, run, 4)
    masks = [draw_masks(item.frames, run.train.augment, 20, stream(run.seed, "augment", 4, item.id)) for item in items]
    masked, _ = network_inputs(batch, run.model, CPU)
    assert nothing is None
    assert torch.equal(plain, log_mel(batch.waves, batch.lengths, 20))
    assert torch.equal(masked, apply_masks(plain, masks, FEATURES_PER_SECOND))
    assert not torch.equal(masked, plain)


def test_without_augmentation_training_sees_what_decoding_sees(prepared, make_run):
    run, items = make_run(train__augment=None), prepared.items("train")[:3]
    trained = training_batch(prepared, items, run, 0)
    decoded = condition_batch(prepared, items, Condition(split="test"))
    for one, other in zip(dataclasses.astuple(trained), dataclasses.astuple(decoded), strict=True):
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def test_video_is_cropped_in_the_middle_and_padded(talking):
    items = talking.items("train")[:4]
    batch = collate(talking, items)
    assert batch.video.shape == (4, 8, 88, 88)
    assert batch.video.dtype == torch.uint8
    for row, item in enumerate(items):
        np.testing.assert_array_equal(batch.video[row, : item.frames], talking.video(item)[:, 4:92, 4:92])
        assert not batch.video[row, item.frames :].any()
    assert batch.lengths.tolist() == [8, 8, 6, 8]


def test_video_is_cropped_mirrored_and_hidden_as_drawn(talking):
    item = talking.items("train")[0]
    draw = Draw(corner=(0, 8), mirrored=True, hidden=((0.05, 0.13), (0.2, 0.2)))
    seen = collate(talking, [item], [draw]).video[0]
    expected = talking.video(item)[:, :88, 8:96][:, :, ::-1].copy()
    expected[1:3] = 0  # from 0.05 s to 0.13 s
    np.testing.assert_array_equal(seen, expected)


def test_video_reaches_the_network_normalised_with_hidden_frames_black_and_padding_at_zero(talking, make_run):
    items = talking.items("train")[1:3]
    batch = collate(talking, items, [Draw(hidden=((0.0, 0.08),)), Draw()])
    audio, seen = network_inputs(batch, make_run("avsr").model, CPU)
    assert audio.shape == (2, 32, 20)
    assert seen.shape == (2, 8, 88, 88)
    assert seen.dtype == torch.float32
    torch.testing.assert_close(seen[0, :2], torch.full((2, 88, 88), BLACK))
    torch.testing.assert_close(seen[0, 2:], (batch.video[0, 2:].float() / 255 - 0.421) / 0.165)
    assert not seen[1, 6:].any()
    assert seen[1, :6].any(dim=(1, 2)).all()


def test_video_alone_needs_no_audio(talking, make_run):
    audio, seen = network_inputs(collate(talking, talking.items("valid")), make_run("vsr").model, CPU)
    assert audio is None
    assert seen.shape == (2, 8, 88, 88)


def test_normalisation_does_not_write_into_the_batch():
    pictures = torch.full((1, 2, 88, 88), 7, dtype=torch.uint8)
    normalise_video(pictures, torch.tensor([1]))
    assert (pictures == 7).all()


def test_noise_is_mixed_into_the_wave_that_was_recorded(talking, make_run):
    run = make_run("avsr", train__noise={"kind": "babble", "snrs": [5]})
    items = talking.items("train")[:4]
    batch = training_batch(talking, items, run, 2)
    for row, item in enumerate(items):
        draw = training_draw(item, run, 2).noise
        speech, noisy = talking.wave(item), batch.waves[row, : 640 * item.frames].numpy()
        sound = noise.cut("babble", len(speech), talking.babble, item.speaker, torch.Generator().manual_seed(draw.seed))
        np.testing.assert_array_equal(noisy, noise.mix(speech, sound, 5))
        ratio = np.mean(np.square(speech, dtype=float)) / np.mean(np.square(noisy - speech, dtype=float))
        assert 10 * np.log10(ratio) == pytest.approx(5, abs=1e-3)
        assert not batch.waves[row, 640 * item.frames :].any()


@pytest.mark.parametrize("kind", ["babble", "white"])
def test_a_condition_s_noise_is_the_same_at_every_ratio_and_in_any_group(talking, kind):
    items = talking.items("test")
    speech = collate(talking, items).waves

    def sound(snr: float, members: list) -> np.ndarray:
        condition = Condition(split="test", noise=kind, snr=snr)
        added = condition_batch(talking, members, condition).waves[-1] - speech[-1]
        return added.numpy().astype(float) * 10 ** (snr / 20)

    loud = sound(-10, items)
    np.testing.assert_allclose(sound(0, items), loud, atol=1e-5)
    np.testing.assert_allclose(sound(-10, items[1:]), loud, atol=1e-7)
    assert np.abs(loud).max() > 0.01


def test_an_absent_modality_is_marked(talking):
    items = talking.items("test")
    assert condition_batch(talking, items, Condition(split="test")).present is None
    for modality, expected in (("audio", [False, True]), ("video", [True, False])):
        batch = condition_batch(talking, items, Condition(split="test", without=modality))
        assert batch.present.tolist() == [expected] * len(items)
    one_absent = collate(talking, items, [Draw(), Draw(present=(True, False))])
    assert one_absent.present.tolist() == [[True, True], [True, False]]
    assert one_absent.present.dtype == torch.bool


def test_a_batch_is_the_same_however_it_is_reached(talking, make_run):
    run, items = make_run("avsr"), talking.items("train")
    together = training_batch(talking, items, run, 1)
    torch.rand(7)
    for row, item in enumerate(items):
        alone = training_batch(talking, [item], run, 1)
        assert torch.equal(alone.waves[0], together.waves[row, : 640 * item.frames])
        assert torch.equal(alone.video[0], together.video[row, : item.frames])
        assert alone.masks[0] == together.masks[row]


def test_waves_are_normalised_over_their_own_samples(prepared):
    batch = collate(prepared, prepared.items("train")[:4])
    waves = normalise_waves(batch.waves.double(), batch.lengths)
    for row, frames in enumerate(batch.lengths.tolist()):
        own = waves[row, : 640 * frames]
        assert own.mean().item() == pytest.approx(0, abs=1e-9)
        assert own.square().mean().item() == pytest.approx(1, rel=1e-3)
        assert not waves[row, 640 * frames :].any()
        alone = normalise_waves(batch.waves[row : row + 1, : 640 * frames].double(), batch.lengths[row : row + 1])
        torch.testing.assert_close(own, alone[0])


def test_normalised_waves_do_not_depend_on_what_the_padding_holds():
    waves, lengths = torch.randn(2, 1280, generator=torch.Generator().manual_seed(1)), torch.tensor([2, 1])
    silent, loud = waves.clone(), waves.clone()
    silent[1, 640:], loud[1, 640:] = 0.0, torch.inf
    assert torch.equal(normalise_waves(loud, lengths), normalise_waves(silent, lengths))


def test_the_wave_front_end_gets_waves(prepared):
    model = Model(
        frontend="wave", channels=4, dim=16, heads=2, feedforward=16, layers=1, kernel=3, decoder_layers=0, dropout=0.0,
        initialiser="default",
    )  # fmt: skip
    batch = collate(prepared, prepared.items("valid")[:2])
    assert torch.equal(network_inputs(batch, model, CPU)[0], normalise_waves(batch.waves, batch.lengths))


@pytest.mark.parametrize("limit", [1, 100, 300, 10**6])
def test_decoding_batches_hold_everything_once_within_the_limit(prepared, limit):
    items = prepared.items("train")
    batches = list(in_batches(items, limit))
    assert sorted(item.id for batch in batches for item in batch) == sorted(item.id for item in items)
    assert all(len(batch) == 1 or max(item.frames for item in batch) * len(batch) <= limit for batch in batches)


def test_no_utterances_make_no_batches():
    assert list(in_batches([], 100)) == []


@pytest.fixture(scope="module")
def in_place(tmp_path_factory) -> Prepared:
    """Ten utterances with audio and video, which stay in the files that they were recorded in."""
    root = make(tmp_path_factory.mktemp("in_place") / "root", 10, pictures=True)
    labels = root / "labels"
    labels.mkdir()
    (root / "units.txt").write_text("\u2581ab 1\n\u2581cd 2\n", encoding="utf-8")
    (root / "there").mkdir()
    for file in [*root.glob("u*.wav"), *root.glob("u*.mp4")]:
        file.rename(root / "there" / file.name)
    for split, numbers in (("train", range(8)), ("valid", [8]), ("test", [9])):
        (labels / f"{split}.csv").write_text("".join(f"there,u{number}.mp4,8,1 2\n" for number in numbers))
    lists = {split: (f"{split}.csv",) for split in ("train", "valid", "test")}
    corpus = AutoAvsr(kind="auto_avsr", name="there", units="units.txt", **lists)
    prepare(corpus, Tokenizer(kind="characters"), ("audio", "video"), root, root / "out")
    return Prepared(root / "out")


def test_recordings_in_place_are_the_same_whoever_reads_them(in_place, make_run):
    """By one thread and by four, in the order of the group, with all that is drawn."""
    run = make_run("avsr")
    items = in_place.items("train")
    assert in_place.in_place
    batches = []
    for threads in (1, 4):
        with with_threads(threads):
            batches.append(training_batch(in_place, items, run, 3))
    for name in ("waves", "video", "lengths", "tokens", "token_lengths"):
        assert torch.equal(*(getattr(batch, name) for batch in batches)), name
    assert [batch.masks for batch in batches] == [batches[0].masks] * 2


def test_as_many_recordings_are_read_at_a_time_as_there_are_threads(in_place, talking, monkeypatch):
    """And one, of what is prepared."""
    readers = {}

    def video_of(prepared, item):
        readers.setdefault(prepared.folder, set()).add(threading.current_thread().name)
        together.wait()
        return np.zeros((item.frames, 96, 96), np.uint8)

    monkeypatch.setattr(Prepared, "video", video_of)
    with with_threads(2):
        together = threading.Barrier(2, timeout=600)  # neither goes on without the other
        collate(in_place, in_place.items("train"))
        together = threading.Barrier(1)
        collate(talking, talking.items("train"))
    assert len(readers[in_place.folder]) == 2
    assert readers[talking.folder] == {threading.current_thread().name}


def test_a_recording_that_is_gone_is_named_by_whoever_reads_it(in_place, monkeypatch):
    items = in_place.items("train")

    def wave(self, item):
        if item is items[3]:
            raise ValueError("u3.wav: no such file")
        return np.zeros(640 * item.frames, np.float32)

    monkeypatch.setattr(Prepared, "wave", wave)
    with with_threads(3), pytest.raises(ValueError, match=r"^u3.wav: no such file$"):
        collate(in_place, items)


@contextmanager
def with_threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def test_on_a_cpu_a_batch_stays_where_it_is(prepared):
    batch = collate(prepared, prepared.items("valid"))
    assert batch.for_device(CPU) is batch


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_for_a_gpu_a_batch_lies_where_the_gpu_reads_by_itself(talking, make_run):
    device, run = torch.device("cuda"), make_run("avsr")
    batch = training_batch(talking, talking.items("train"), run, 0)
    pinned = batch.for_device(device)
    for name in ("waves", "video", "lengths", "tokens"):
        assert getattr(pinned, name).is_pinned() and torch.equal(getattr(pinned, name), getattr(batch, name)), name
    assert pinned.items == batch.items and pinned.masks == batch.masks
    for one, other in zip(
        network_inputs(pinned, run.model, device), network_inputs(batch, run.model, device), strict=True
    ):
        assert torch.equal(one, other)
