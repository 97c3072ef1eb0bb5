"""Facts about transcribing: a file is read as the corpus was, whatever its format and whichever share its batch."""

import itertools
import json
import re
from pathlib import Path

import nano
import numpy as np
import pytest
import soundfile
import yaml

from lrsms.__main__ import main
from lrsms.decoding.decode import decode
from lrsms.record import hypotheses
from lrsms.record.record import load_outcome, load_run


@pytest.fixture(scope="module")
def decoded(trained, prepared, decoding, tmp_path_factory):
    """What ``decode`` finds in the test split: text by decoder and utterance."""
    import torch

    output = tmp_path_factory.mktemp("decoded") / "hypotheses.jsonl"
    decode(load_run(trained), prepared, trained, output, decoding, torch.device("cpu"))
    rows = hypotheses.read(output, trained, load_outcome(trained))
    return {(row["decoder"], row["id"]): row["hypothesis"] for row in rows}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("project") / "config.yaml"
    path.write_text(yaml.safe_dump(nano.PROJECT, sort_keys=False))
    return path


@pytest.fixture
def transcribe(trained, corpora, project, capsys):
    """Runs the verb, and returns its exit status and what it printed."""

    def run(*arguments, run=trained):
        options = ["--project", project, "--corpora", corpora, "--device", "cpu"]
        status = main([str(one) for one in ("transcribe", *options, run, *arguments)])
        return status, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def files(prepared, tmp_path_factory) -> dict[str, Path]:
    """The test utterances as WAV files."""
    folder = tmp_path_factory.mktemp("files")
    found = {}
    for item in prepared.items("test"):
        found[item.id] = folder / f"{item.id}.wav"
        soundfile.write(found[item.id], prepared.wave(item), 16_000, subtype="PCM_16")
    return found


@pytest.mark.parametrize("decoder", ["greedy", "beam"])
def test_utterances_of_the_corpus_are_found_as_decode_finds_them(transcribe, files, decoded, decoder):
    status, out, err = transcribe(*files.values(), "--decoder", decoder)
    assert status == 0
    found = [line.split("\t") for line in out.splitlines()]
    assert found == [[str(path), decoded[decoder, name]] for name, path in files.items()]
    assert re.search(r"8 of 8 files, [\d.]+ s, in [\d.]+ s on cpu: real-time factor [\d.]+", err)


def test_other_formats_and_rates_are_read(transcribe, files, tmp_path):
    wave, _ = soundfile.read(next(iter(files.values())))
    for name, rate in (("slow.flac", 8000), ("fast.ogg", 48_000), ("two.wav", 16_000)):
        content = np.interp(np.arange(0, len(wave), 16_000 / rate), np.arange(len(wave)), wave)
        soundfile.write(tmp_path / name, np.stack([content, content], 1), rate)
    status, out, err = transcribe(*sorted(tmp_path.iterdir()))
    assert status == 0, err
    assert len(out.splitlines()) == 3


def test_a_long_file_is_cut_and_its_times_are_of_the_whole(transcribe, files, tmp_path):
    waves = [soundfile.read(path, dtype="int16")[0] for path in files.values()]
    long = np.concatenate([np.concatenate([wave, np.zeros(16_000, "<i2")]) for wave in waves])
    path = tmp_path / "long.wav"
    soundfile.write(path, long, 16_000)
    status, out, _ = transcribe(path, "--format", "json", "--longest", "4")
    assert status == 0
    content = json.loads(out)
    segments = content["segments"]
    assert segments[0]["begin"] == 0
    assert all(before["end"] <= after["begin"] for before, after in itertools.pairwise(segments))
    assert content["seconds"] == pytest.approx(len(long) / 16_000, abs=0.04)
    assert segments[-1]["end"] == pytest.approx(content["seconds"] - 1, abs=0.1)  # it ends in a second of silence
    assert all(segment["end"] - segment["begin"] <= 4 for segment in segments)
    tokens = [token for segment in segments for token in segment["tokens"]]
    assert all(0 <= token["begin"] < token["end"] <= content["seconds"] for token in tokens)
    assert all(before["end"] <= after["begin"] for before, after in itertools.pairwise(tokens))
    assert all(0 < token["probability"] <= 1 for token in tokens)


def test_each_file_gets_one_of_its_own_in_a_folder(transcribe, files, tmp_path):
    status, out, _ = transcribe(*files.values(), "--format", "srt", "--output", tmp_path / "new")
    assert status == 0 and out == ""
    assert {path.name for path in (tmp_path / "new").iterdir()} == {f"{name}.srt" for name in files}


def test_a_file_that_cannot_be_read_does_not_stop_the_others(transcribe, files, tmp_path):
    good, torn = next(iter(files.values())), tmp_path / "torn.wav"
    torn.write_bytes(b"RIFF")
    status, out, err = transcribe(tmp_path / "none.wav", good, torn)
    assert status == 1
    assert out.startswith(str(good))
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2 and "none.wav: no such file" in errors[0] and "torn.wav" in errors[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--decoder", "bean"), "no such decoder for scale 'nano'; known: greedy, beam"),
        (("--length-bonus", "1"), "is for kind 'beam'"),
        (("--longest", "0"), "must lie between 0.4 and 600 seconds"),
        (("--device", "cuda:99"), "PyTorch has no such device here"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(transcribe, files, arguments, said):
    status, out, err = transcribe(next(iter(files.values())), *arguments)
    assert status == 1 and out == ""
    assert said in err.splitlines()[-1] and err.count("error: ") == 1


def test_subtitles_of_several_files_do_not_go_into_one(transcribe, files):
    status, _, err = transcribe(*list(files.values())[:2], "--format", "srt")
    assert status == 1 and "add --output FOLDER" in err


def test_two_files_of_one_name_are_refused(transcribe, files, tmp_path):
    first = next(iter(files.values()))
    second = tmp_path / first.name
    second.write_bytes(first.read_bytes())
    status, _, err = transcribe(first, second, "--output", tmp_path / "new")
    assert status == 1 and "would both be written" in err
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_no_run_is_refused(transcribe, files, tmp_path):
    status, _, err = transcribe(next(iter(files.values())), run=tmp_path / "nothing")
    assert status == 1 and "is not the folder of a run" in err


def test_a_run_without_its_tokenizer_is_refused(transcribe, files, tmp_path):
    status, _, err = transcribe(next(iter(files.values())), "--corpora", tmp_path)
    assert status == 1 and "is not there, and with it the tokenizer of the run" in err


def test_a_film_without_sound_is_not_heard(transcribe, tmp_path):
    from lrsms.data import video

    path = tmp_path / "film.mp4"
    video.write(path, np.random.default_rng(0).integers(0, 255, (25, 96, 96)).astype(np.uint8))
    status, _, err = transcribe(path)
    assert status == 1 and "holds no sound; a run of task 'asr' needs audio" in err


@pytest.mark.slow
def test_a_run_that_sees_refuses_what_has_no_pictures_and_reads_what_has(
    make_run, resolve_run, tmp_path, files, transcribe
):
    import torch

    from lrsms.data.prepare import prepare
    from lrsms.data.prepared import Prepared
    from lrsms.training.loop import train

    run = make_run("vsr")
    corpora = tmp_path / "corpora"
    prepare(run.corpus, run.tokenizer, run.model.modalities, None, corpora / run.prepared)
    folder = resolve_run(run, tmp_path / "runs")
    prepared = Prepared(corpora / run.prepared)
    train(run, prepared, folder, torch.device("cpu"))
    status, _, err = transcribe(next(iter(files.values())), "--corpora", corpora, run=folder)
    assert status == 1 and "holds no pictures that move; a run of task 'vsr' needs video" in err
    film = next((corpora / run.prepared / "rendered").rglob("*.mp4"))
    status, out, err = transcribe(film, "--corpora", corpora, "--format", "json", run=folder)
    assert status == 0, err
    assert json.loads(out)["seconds"] > 0.5


def test_it_leaves_the_arithmetic_of_the_process_as_it_was(transcribe, files, monkeypatch):
    import torch

    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        status, *_ = transcribe(next(iter(files.values())))
        assert status == 0
        assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == ("high", True)
    finally:
        torch.set_float32_matmul_precision(before)
