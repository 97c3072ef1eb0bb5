"""Facts about the three tasks from end to end: the same run, with nothing but the task changed."""

import json

import pytest
import torch
from safetensors.torch import load_file

from lrsms.data.prepare import prepare
from lrsms.data.prepared import Prepared
from lrsms.data.synthetic.contactsheet import utterance_sheet
from lrsms.decoding.decode import decode
from lrsms.study.decoding import Condition, Decoder, Decoding
from lrsms.study.run import MODALITIES
from lrsms.training.loop import train

CPU = torch.device("cpu")
ENDS = {
    "asr": {"clean": {}, "noisy": {"noise": "babble", "snr": 0}, "hissing": {"noise": "white", "snr": -5}},
    "vsr": {"clean": {}},
    "avsr": {
        "clean": {},
        "noisy": {"noise": "babble", "snr": 0},
        "dark": {"without": "video"},
        "deaf": {"without": "audio"},
    },
}


@pytest.fixture(scope="module", params=list(MODALITIES))
def task(request):
    return request.param


@pytest.fixture(scope="module")
def seen(task, make_run, tmp_path_factory):
    """The prepared corpus of a task."""
    run = make_run(task)
    folder = tmp_path_factory.mktemp("faces") / run.prepared
    assert prepare(run.corpus, run.tokenizer, MODALITIES[task], None, folder) == []
    return Prepared(folder)


@pytest.fixture(scope="module")
def lowrank_run(task, make_run):
    return make_run(task, lowrank__ratio=0.5)


@pytest.fixture(scope="module")
def run_folder(lowrank_run, seen, resolve_run, tmp_path_factory):
    folder = resolve_run(lowrank_run, tmp_path_factory.mktemp("runs"))
    train(lowrank_run, seen, folder, CPU)
    return folder


def hypotheses(run, seen, folder, output, conditions):
    decoders = {"greedy": Decoder(kind="greedy")}
    named = {name: Condition(split="test", **settings) for name, settings in conditions.items()}
    decode(run, seen, folder, output, Decoding(decoders=decoders, conditions=named), CPU)
    return [json.loads(line) for line in output.read_text().splitlines()]


def test_a_run_is_trained_decoded_and_repeats_to_the_bit(task, lowrank_run, seen, run_folder, resolve_run, tmp_path):
    assert json.loads((run_folder / "run.json").read_text())["status"] == "finished"
    again = resolve_run(lowrank_run, tmp_path)
    train(lowrank_run, seen, again, CPU)
    weights, repeated = (load_file(folder / "weights.safetensors") for folder in (run_folder, again))
    assert all(torch.equal(tensor, repeated[name]) for name, tensor in weights.items())
    rows = hypotheses(lowrank_run, seen, run_folder, tmp_path / "out.jsonl", ENDS[task])
    assert len(rows) == len(seen.items("test")) * len(ENDS[task])
    assert {row["condition"] for row in rows} == set(ENDS[task])


def test_encoder_means_the_encoder_of_every_modality(task, run_folder):
    plan = json.loads((run_folder / "plan.json").read_text())
    stacks = {matrix["name"].split(".")[0] for matrix in plan["matrices"] if any(matrix["ranks"])}
    assert stacks == ({"audio_encoder", "video_encoder"} if task == "avsr" else {"encoder"})


def test_a_film_is_laid_out_with_its_phonemes(task, seen):
    if task == "asr":
        with pytest.raises(ValueError, match="was prepared without video; prepare it for task vsr or avsr"):
            utterance_sheet(seen.folder, "test-00000")
        return
    item = seen.items("test")[0]
    figure = utterance_sheet(seen.folder, item.id)
    assert len(figure.axes) == item.frames
    captions = [axes.texts[0].get_text() for axes in figure.axes]
    spoken = next(
        json.loads(line)
        for line in (seen.folder / "rendered/phonemes.jsonl").read_text().splitlines()
        if json.loads(line)["id"] == item.id
    )
    assert set(captions) - {""} <= {name for name, _ in spoken["phonemes"]}
    assert captions[0] == "", "a recording starts in silence"
    with pytest.raises(ValueError, match=f"has no utterance '{item.id}x'; did you mean '{item.id}'?"):
        utterance_sheet(seen.folder, f"{item.id}x")
