"""Facts about the command line: verbs work from end to end, and bad input is one line and exit status 1."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import nano
import pytest
import yaml

from lrsms.__main__ import main
from lrsms.record.score import read_scores

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A project of its own, with the working directory in it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "workflow/config"
    for name, content in (
        ("config", nano.PROJECT),
        ("presets/nano-asr", nano.PRESET),
        ("corpora/few", nano.CORPUS),
        ("corpora/real", {"kind": "manifest"}),
        ("studies/sizes", nano.STUDY),
    ):
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content, sort_keys=False))
    return tmp_path


@pytest.fixture
def fails(capsys):
    """Runs a verb that must fail, and returns its one line."""

    def fails(*arguments) -> str:
        assert main([str(argument) for argument in arguments]) == 1
        out, err = capsys.readouterr()
        lines = [line for line in err.splitlines() if not line.startswith("warning: ")]
        assert len(lines) == 1, err
        assert lines[0].startswith("error: ")
        assert "Traceback" not in out + err
        return lines[0].removeprefix("error: ")

    return fails


def project(**changes) -> str:
    return json.dumps(nano.PROJECT | changes)


def dense(home) -> str:
    from lrsms.base.strict import parse
    from lrsms.study import expand
    from lrsms.study.project import Project

    found = expand.load(parse(Project, nano.PROJECT, "x"), home / "workflow/config")
    return next(experiment.name for experiment in found if experiment.cell == "dense")


def test_a_run_goes_from_its_study_to_its_record(home, corpora, trained, capsys):
    name = dense(home)
    folder = Path("results/runs") / name
    on = ["--corpora", str(corpora), "--device", "cpu"]
    assert main(["check", "--corpora", str(corpora)]) == 0
    assert main(["resolve", name, f"{folder}/config.json"]) == 0
    assert main(["train", *on, str(folder)]) == 0
    assert (folder / "weights.safetensors").read_bytes() == (trained / "weights.safetensors").read_bytes()
    assert main(["decode", *on, str(folder), f"{folder}/hypotheses.jsonl"]) == 0
    assert main(["score", str(folder), f"{folder}/hypotheses.jsonl", f"results/records/{name}/scores.csv.gz"]) == 0
    assert len(read_scores(Path(f"results/records/{name}/scores.csv.gz"))) == 16
    assert not capsys.readouterr().out


def test_prepare_writes_the_corpus_that_runs_read(home, corpora, make_run):
    name = make_run().prepared
    assert main(["prepare", f"results/corpora/{name}"]) == 0
    ours, theirs = (
        json.loads((folder / name / "corpus.json").read_text()) for folder in (Path("results/corpora"), corpora)
    )
    assert ours["hash"] == theirs["hash"]


def test_the_config_folder_is_an_option(home, monkeypatch, tmp_path):
    monkeypatch.chdir("/")
    arguments = ["--config-folder", str(home / "workflow/config"), "resolve", "--project", project(), dense(home)]
    assert main([*arguments, str(tmp_path / "config.json")]) == 0
    assert json.loads((tmp_path / "config.json").read_text())["scale"] == "nano"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"study": "size"}, "no study 'size' in workflow/config/studies; did you mean 'sizes'?"),
        ({"corpus": "fewer"}, "no corpus 'fewer' in workflow/config/corpora; did you mean 'few'?"),
        ({"scale": "nanu"}, "no preset 'nanu-asr' in workflow/config/presets; did you mean 'nano-asr'?"),
        ({"task": "avsr"}, "no preset 'nano-avsr' in workflow/config/presets; did you mean 'nano-asr'?"),
        ({"studdy": "sizes"}, "--project: unknown key 'studdy'; did you mean 'study'?"),
        ({"decoders": {}}, "--project: 'decoders' is {}: must have at least 1 value"),
        ({"roots": ["few"]}, "--project: 'roots' is [\"few\"]: must be a mapping of keys to values"),
        (
            {"scale": "my-scale"},
            "--project: 'scale' is \"my-scale\": must be letters, digits, '_' and '.' without a dash",
        ),
    ],
)
@pytest.mark.parametrize("verb", [["check"], ["resolve", "run", "x.json"], ["prepare", "x"], ["aggregate", "x", "y"]])
def test_a_wrong_project_is_one_line(home, fails, changes, message, verb):
    assert fails(verb[0], "--project", project(**changes), *verb[1:]).startswith(message)
    assert not Path("x.json").exists()


def test_a_wrong_project_file_is_named(home, fails):
    assert fails("check", "--project", "absent.yaml").startswith("absent.yaml: cannot be read")
    Path("mine.yaml").write_text("study: sizes\nstudy: sizes\n")
    assert fails("check", "--project", "mine.yaml") == "mine.yaml: line 2 key 'study' is given twice"
    Path("mine.yaml").write_text("studdy: sizes\n")
    assert fails("check", "--project", "mine.yaml").startswith("mine.yaml: unknown key 'studdy'")
    assert fails("check", "--project", "{").startswith("--project:")


def test_unknown_names_are_one_line(home, fails):
    assert fails("resolve", "nothing", "x.json") == "no run of study 'sizes' is called nothing"
    assert re.fullmatch(
        r"results/corpora/x-0123456789: no run of study 'sizes' reads a corpus of this name; "
        r"write results/corpora/few-[0-9a-f]{10}",
        fails("prepare", "results/corpora/x-0123456789"),
    )
    assert fails("steptime", "x.json", "--device", "cpu").startswith("no run of this study has a step time called x")


@pytest.mark.parametrize("verb", ["train", "decode"])
def test_a_run_without_config_is_one_line(home, corpora, fails, verb):
    more = ["out.jsonl"] if verb == "decode" else []
    assert fails(verb, "--corpora", corpora, "absent", *more).startswith("absent/config.json: is not there")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "gpu"], "--device gpu: PyTorch has no such device here; use one of cpu"),
        (["--device", "cuda:99"], "--device cuda:99: PyTorch has no such device here; use one of cpu"),
        (["--threads", "0"], "--threads 0: must be at least 1"),
    ],
)
def test_a_wrong_device_is_one_line(home, corpora, trained, fails, options, message):
    assert fails("train", "--corpora", corpora, *options, trained).startswith(message)


def test_an_edited_config_is_one_line(home, corpora, trained, fails):
    folder = shutil.copytree(trained, home / trained.name)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"seed": 1\n', '"seed": 2\n'))
    for arguments in (["train", "--corpora", corpora, folder], ["decode", "--corpora", corpora, folder, "x.jsonl"]):
        assert "config.json: was edited" in fails(*arguments)


def test_an_unprepared_corpus_is_one_line(home, trained, fails):
    assert "is not a prepared corpus" in fails("train", "--corpora", home, trained)


def test_missing_weights_and_torn_hypotheses_are_one_line(home, corpora, trained, fails):
    folder = shutil.copytree(trained, home / trained.name)
    (folder / "weights.safetensors").unlink()
    assert "weights.safetensors: cannot be loaded" in fails("decode", "--corpora", corpora, folder, "x.jsonl")
    Path("x.jsonl").write_text('{"decoder": "gre')
    assert fails("score", folder, "x.jsonl", "records/scores.csv.gz").startswith(
        "x.jsonl, line 1: the file ends within"
    )
    assert fails("score", folder, "absent.jsonl", "records/scores.csv.gz").startswith("[Errno 2]")


def test_a_damaged_checkpoint_is_a_warning_of_one_line(home, corpora, trained, capsys):
    folder = shutil.copytree(trained, home / trained.name)
    (folder / "checkpoints/ended.json").unlink()
    checkpoint = folder / "checkpoints/step-00000008.safetensors"
    checkpoint.write_bytes(b"half")
    checkpoint.with_suffix(".json").write_text("{}")
    assert main(["train", "--corpora", str(corpora), "--device", "cpu", str(folder)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert next(line for line in lines if "damaged" in line).startswith(f"warning: {checkpoint}: damaged checkpoint (")
    assert not any("warnings.warn" in line for line in lines)


@pytest.mark.parametrize(
    ("preset", "settings", "message"),
    [
        ("nano-asf", [], "no preset 'nano-asf' in workflow/config/presets; did you mean 'nano-asr'?"),
        ("nano-asr", ["lowrank.ratio"], "--set lowrank.ratio: must be field=value, such as lowrank.ratio=0.25"),
        ("nano-asr", ["lowrank.ratio=2"], "workflow/config/presets/nano-asr.yaml with --set: 'lowrank.ratio' is 2"),
        (
            "nano-asr",
            ["lowrank.ratioo=1"],
            "workflow/config/presets/nano-asr.yaml with --set: unknown key 'lowrank.ratioo'",
        ),
        ("nano-asr", ["lowrank.ratio=[1"], "--set lowrank.ratio=[1: line 1"),
        ("nano-asr", ["train.lr.x=1"], "--set: 'train.lr.x': 'lr' has no fields of its own"),
        (
            "nano-asr",
            ["lowrank.ratio=0.5", "lowrank.targets=[encoder.atention]"],
            "'lowrank.targets': 'encoder.atention'",
        ),
    ],
)
def test_wrong_settings_are_one_line(home, fails, preset, settings, message):
    assert fails("params", preset, "--set", *settings).startswith(message)


def test_an_unknown_verb_is_a_usage_error(capsys):
    for arguments in (["trian"], [], ["train"], ["train", "x", "--threads", "many"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
        assert "Traceback" not in capsys.readouterr().err


def test_help_spells_lr_sms_out_and_groups_verbs_by_who_uses_them(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert "LR-SMS (Low-Rank Speech Model from Scratch)" in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= 100
    _, yours, workflow = re.split(r"^verbs .*:$", said, flags=re.MULTILINE)
    names = [re.findall(r"^  ([a-z]+) ", group, re.MULTILINE) for group in (yours, workflow)]
    assert {"plan", "params", "claims", "status", "power", "show", "stepbench"} <= set(names[0])
    assert not set(names[0]) & set(names[1]) and all(group == sorted(group) for group in names)
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    called = set(re.findall(r"python -m lrsms ([a-z]+)", rules))
    assert {"train", "decode", "score"} <= called <= {*names[1], "claims", "show", "regenerate"}


def test_the_console_script_is_the_same_program():
    script = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["lrsms"]
    point = EntryPoint(name="lrsms", value=script, group="console_scripts")
    code = (
        f"import sys; from {point.module} import {point.attr}; sys.argv = ['lrsms', 'power', 'absent']; {point.attr}()"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    one, other = (
        subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True)
        for words in (["-c", code], ["-m", "lrsms", "power", "absent"])
    )
    assert (one.returncode, one.stdout, one.stderr) == (other.returncode, other.stdout, other.stderr)
    assert one.returncode == 1 and one.stderr.startswith("error: absent")


def test_help_and_resolve_need_no_torch(home):
    code = (
        "import sys; from lrsms.__main__ import main\n"
        f"main(['resolve', {dense(home)!r}, 'config.json'])\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'pandas', 'jiwer', 'snakemake')))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    assert Path("config.json").is_file()


@pytest.mark.slow
def test_a_run_that_was_killed_by_the_system_goes_on(home, corpora, make_lowrank, resolve_run):
    """SIGKILL, as by a queue or for want of memory: nothing in the process can tidy up."""
    long = make_lowrank(train__steps=60)
    killed, whole = resolve_run(long, home / "killed"), resolve_run(long, home / "whole")
    command = [sys.executable, "-m", "lrsms", "train", "--corpora", str(corpora), "--device", "cpu"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([*command, "--checkpoint-seconds", "0", str(killed)], env=environment)
    try:
        end = time.monotonic() + 600
        while not list(killed.glob("checkpoints/step-0000001*.json")) and time.monotonic() < end:
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (killed / "run.json").exists()
    for folder in (killed, whole):
        subprocess.run([*command, str(folder)], env=environment, check=True)
    assert json.loads((killed / "run.json").read_text())["resumed_at"] >= 9
    for name in ("weights.safetensors", "metrics.jsonl"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


def test_a_full_disk_is_one_line_with_a_remedy(monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "results/x.json")

    monkeypatch.setattr("lrsms.report.tables.write", full)
    assert main(["tables", "results/x"]) == 1
    error = capsys.readouterr().err
    assert error == "error: the disk is full (results/x.json); free some space and run again: finished work is kept\n"
