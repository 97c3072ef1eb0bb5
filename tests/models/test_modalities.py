"""A recogniser of audio and video: what it is made of, and utterances that lack one of the two."""

import pytest
import torch
from small import AUDIOVISUAL, SIZE, VISUAL, small_inputs, small_model, small_recognizer, small_video

from lrsms.models.norm import MaskedBatchNorm, update_running_statistics
from lrsms.models.recognizer import Recognizer, build

LENGTHS = torch.tensor([7, 4, 6])
TOKENS = torch.tensor([[3, 3, 9], [5, 0, 0], [1, 2, 0]])
TOKEN_LENGTHS = torch.tensor([3, 1, 2])
ALL = torch.ones(3, 2, dtype=torch.bool)
SOME = torch.tensor([[True, True], [False, True], [True, False]])


@pytest.fixture
def model() -> Recognizer:
    return small_recognizer(**AUDIOVISUAL)


@pytest.fixture
def heard() -> torch.Tensor:
    return small_inputs("logmel", 3, 7)


@pytest.fixture
def seen() -> torch.Tensor:
    return small_video(3, 7)


def parts(**changes) -> list[str]:
    return [name for name, _ in build(small_model(**changes), SIZE, seed=1).named_children()]


def test_what_each_task_is_made_of():
    assert parts() == parts(**VISUAL) == ["frontend", "encoder", "dropout", "ctc", "decoder"]
    stacks = ["audio_frontend", "audio_encoder", "video_frontend", "video_encoder"]
    assert parts(**AUDIOVISUAL) == [*stacks, "fusion", "dropout", "ctc", "decoder"]


def test_one_seed_gives_what_two_tasks_share_the_same_weights():
    seeing = build(small_model(**VISUAL), SIZE, seed=1).state_dict()
    hearing = build(small_model(), SIZE, seed=1).state_dict()
    shared = [name for name in seeing if name.startswith(("encoder.", "ctc.", "decoder."))]
    assert len(shared) > 100 and all(torch.equal(seeing[name], hearing[name]) for name in shared)


def test_the_memory_is_the_fusion_of_both_encoders(model, heard, seen):
    memory, mask = model.encode(heard, seen, LENGTHS)
    encoded = [
        model.get_submodule(f"{kind}_encoder")(model.get_submodule(f"{kind}_frontend")(inputs, LENGTHS), mask)
        for kind, inputs in (("audio", heard), ("video", seen))
    ]
    assert torch.equal(memory, model.fusion(*encoded, mask))


@pytest.mark.parametrize("training", [False, True])
def test_to_say_that_all_is_present_changes_no_bit(model, heard, seen, training):
    model.train(training)
    assert torch.equal(model.encode(heard, seen, LENGTHS, ALL)[0], model.encode(heard, seen, LENGTHS)[0])


@pytest.mark.parametrize("training", [False, True])
def test_output_does_not_depend_on_what_is_absent(model, heard, seen, training):
    """Nor do, in training, the statistics: of the model itself or of the other utterances."""
    model.train(training)
    other_heard, other_seen = heard.clone(), seen.clone()
    other_heard[1], other_seen[2] = 7.0, 7.0
    results = []
    for given in ((heard, seen), (other_heard, other_seen)):
        memory, _ = model.encode(*given, LENGTHS, SOME)
        results.append([memory, *(buffer.clone() for buffer in model.buffers())])
        for module in model.modules():
            if isinstance(module, MaskedBatchNorm):
                module.group_statistics.zero_()
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
    changed, _ = model.encode(other_heard, other_seen, LENGTHS)
    assert not torch.allclose(changed[1], results[0][0][1], atol=1e-3)


def test_an_absent_modality_is_zeros_for_the_fusion(model, heard, seen):
    memory, mask = model.encode(heard, seen, LENGTHS, SOME)
    audio = model.audio_encoder(model.audio_frontend(heard, LENGTHS), mask)
    video = model.video_encoder(model.video_frontend(seen, LENGTHS), mask)
    audio, video = (x * present[:, None, None] for x, present in zip((audio, video), SOME.unbind(1), strict=True))
    expected = model.fusion(audio, video, mask)
    torch.testing.assert_close(memory[~mask], expected[~mask], rtol=0, atol=1e-12)


@pytest.mark.parametrize("absent", [0, 1])
def test_what_no_utterance_has_need_not_be_given(model, heard, seen, absent):
    present = ALL.clone()
    present[:, absent] = False
    given = [heard, seen]
    given[absent] = None
    expected, _ = model.encode(heard, seen, LENGTHS, present)
    assert torch.equal(model.encode(*given, LENGTHS)[0], expected)
    assert torch.equal(model.encode(*given, LENGTHS, present)[0], expected)


def test_trains_on_utterances_that_lack_a_modality(model, heard, seen):
    model.train()
    model(heard, seen, LENGTHS, TOKENS, TOKEN_LENGTHS, 0.1, SOME).joint(0.3).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_where_every_utterance_lacks_it_a_modality_learns_nothing(model, heard, seen):
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    present = torch.tensor([[True, False]] * 3)
    model(heard, seen, LENGTHS, TOKENS, TOKEN_LENGTHS, 0.1, present).joint(0.3).backward()
    update_running_statistics(model)
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == name.startswith("video_"), name
    for name, value in model.state_dict().items():
        if name.startswith("video_"):
            assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("shape, given", [({}, "video"), (VISUAL, "audio")])
def test_a_model_of_one_modality_needs_it(shape, given, heard, seen):
    inputs = {"audio": heard if given == "audio" else None, "video": seen if given == "video" else None}
    with pytest.raises(AssertionError, match=r"a model of (audio|video) alone needs it"):
        small_recognizer(**shape).encode(**inputs, lengths=LENGTHS)
