"""The profiles say how jobs are executed, as ``sbatch`` and the verbs are told; nothing is submitted here."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from one_machine_slurm import needs_a_plain_path
from test_workflow import CORPUS, PRESET, ROOT, STUDY

from lrsms import study
from lrsms.config import Project, parse
from lrsms.device_memory import device_memory_mb
from lrsms.yamlfile import read_yaml

PROFILES = ROOT / "workflow/profiles"
SBATCH = f"""#!{sys.executable}
import json, sys
with open(sys.argv[0] + ".calls", "a") as file:
    print(json.dumps([sys.argv[1:], sys.stdin.read()]), file=file)
sys.exit("none is submitted here")
"""
ASKED = {"study": "scratch", "scale": "test", "corpus": "small"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A clone in which the scratch study's runs are resolved and its corpus seems to be prepared."""
    folder = tmp_path / "a $clone; of"
    shutil.copytree(ROOT / "workflow", folder / "workflow")
    (folder / "slurm").symlink_to("workflow/profiles/slurm")
    config = folder / "workflow/config"
    (config / "corpora/small.yaml").write_text(CORPUS)
    (config / "presets/test-asr.yaml").write_text(PRESET)
    (config / "studies/scratch.yaml").write_text(STUDY)
    for experiment in study.load(parse(Project, read_yaml(config / "config.yaml") | ASKED, "config.yaml"), config):
        for file in (f"runs/{experiment.name}/config.json", f"corpora/{experiment.run.prepared}/corpus.json"):
            path = folder / "results" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")
    return folder


def snakemake(
    folder: Path, *arguments: str, path: Path | None = None, python: str | Path = sys.executable, **asked: str
) -> str:
    """What Snakemake prints."""
    settings = ["--config", *(f"{key}={value}" for key, value in (ASKED | asked).items())]
    environment = os.environ | {"PATH": f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"]}
    command = [str(python), "-m", "snakemake", "--cores", "8", *arguments, *settings]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with an ``sbatch`` that notes how it is called, and submits nothing."""
    folder = tmp_path / "bin"
    folder.mkdir()
    silent = "#!/bin/sh\n"
    others = dict.fromkeys(("sinfo", "squeue", "scontrol", "sacct", "sshare"), silent)
    for name, text in ({"sbatch": SBATCH, "sacctmgr": f"{silent}echo your-account\n"} | others).items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def on_slurm(folder: Path, tools: Path, python: str | Path = sys.executable, **asked: str) -> str:
    return snakemake(folder, "--profile", "slurm", "--retries", "0", path=tools, python=python, **asked)


def submitted(tools: Path) -> dict[str, tuple[list[str], str]]:
    """By rule, what the first job of each was submitted with: the options of ``sbatch``, and its script."""
    found: dict[str, tuple[list[str], str]] = {}
    for line in (tools / "sbatch.calls").read_text().splitlines():
        options, script = json.loads(line)
        rule = re.match("rule_([a-z]+)", options[options.index("--comment") + 1])
        assert rule
        found.setdefault(rule[1], (options, script))
    return found


def value(options: list[str], name: str) -> str:
    return options[options.index(name) + 1]


@pytest.mark.slow
@needs_a_plain_path
def test_jobs_on_slurm_ask_for_gpus_memory_time_partition_and_a_warning(folder: Path, tools: Path) -> None:
    profile = folder / "slurm/config.yaml"
    text = profile.read_text()
    for line in ("slurm_account: your-account", "slurm_partition: your-partition"):
        assert f"# {line}" in text
        text = text.replace(f"# {line}", line)
    profile.write_text(text.replace("gpu: 1\n    # gpu_model: a100", "gpu: 4\n    gpu_model: a100"))
    on_slurm(folder, tools, roots='{"mine": "/a b; $HOME"}')
    options, script = submitted(tools)["train"]
    assert {"-A", "-p", "--gpus=a100:4", "--signal=USR1@120", "--cpus-per-task=8"} <= set(options)
    assert (value(options, "-p"), value(options, "--mem"), value(options, "-t")) == ("your-partition", "32000", "1440")
    assert value(options, "-D") == str(folder)  # a shell has not read it
    assert f"'{folder}/workflow/Snakefile'" in script
    assert """'roots={"mine": "/a b; $HOME"}'""" in script
    assert not [option for option in options if "ntasks" in option]  # one task, which starts a process for each GPU


@pytest.mark.parametrize("root", ["it's `id`", "a\\\\b", "a\\nb"])
def test_what_would_not_reach_a_clusters_jobs_is_refused(folder: Path, tools: Path, root: str) -> None:
    output = on_slurm(folder, tools, roots=f'{{"mine": "/{root}"}}')
    last = output.strip().splitlines()[-1]
    assert last.startswith("error: ") and last.endswith(
        "write it into workflow/config/config.yaml, or rename the folder"
    )


def test_an_environment_in_a_folder_that_a_shell_would_split_is_refused(folder: Path, tools: Path) -> None:
    environment = folder.parent / "an environment"
    environment.symlink_to(sys.prefix)
    python = environment / Path(sys.executable).relative_to(sys.prefix)
    last = on_slurm(folder, tools, python).strip().splitlines()[-1]
    assert last == (
        f"error: {python}: a blank, or what else a shell reads, in Python's path does not reach a cluster's jobs; make"
        " the environment in another folder"
    )
    assert not (tools / "sbatch.calls").exists()


def test_a_job_that_is_tried_again_asks_for_more() -> None:
    content = yaml.safe_load((PROFILES / "slurm/config.yaml").read_text())
    assert content["retries"] >= 2
    for resources in (content["default-resources"], content["set-resources"]["train"]):
        for name in ("mem_mb", "runtime"):
            assert str(resources[name]).endswith("* attempt"), name


@pytest.mark.parametrize(("gpus", "devices"), [([], 1), (["--set-resources", "train:gpu=4"], 4)])
@pytest.mark.slow
def test_a_job_with_several_gpus_is_launched_once_with_as_many_devices(
    folder: Path, gpus: list[str], devices: int
) -> None:
    output = snakemake(folder, "--dry-run", "--printshellcmds", *gpus)
    assert len(re.findall(rf"lrsms train --threads 1 --devices {devices} ", output)) == 2, output


def test_step_time_is_measured_with_the_threads_of_training(folder: Path) -> None:
    output = snakemake(folder, "--dry-run", "--printshellcmds", "--set-threads", "train=3")
    assert re.search(r"lrsms steptime .* --threads 3 ", output), output


def test_jobs_that_share_a_gpu_say_what_they_need_of_its_memory(folder: Path) -> None:
    config = folder / "workflow/config"
    experiments = study.load(parse(Project, read_yaml(config / "config.yaml") | ASKED, "config.yaml"), config)
    needed = {str(device_memory_mb(experiment.run)) for experiment in experiments}
    jobs = resources(snakemake(folder, "--dry-run", "--profile", "workflow/profiles/packed"))
    assert set(jobs["train"]) == set(jobs["decode"]) == needed
    bound = yaml.safe_load((PROFILES / "packed/config.yaml").read_text())["resources"]["gpu_mem_mb"]
    assert set(jobs["steptime"]) == {str(bound)}  # alone: times of neighbours are no times
    assert bound // int(max(needed, key=int)) > 1
    assert len(jobs["train"]) == 2


@pytest.mark.slow
def test_no_job_needs_more_of_a_gpu_than_there_is(folder: Path) -> None:
    """A job alone on a GPU may find out itself whether it fits; nothing is worked out where nothing is shared."""
    jobs = resources(snakemake(folder, "--dry-run", "--resources", "gpu_mem_mb=500"))
    assert set(jobs["train"]) == set(jobs["steptime"]) == {"500"}
    jobs = resources(snakemake(folder, "--dry-run"))
    assert set(jobs["train"]) == set(jobs["steptime"]) == {"0"}


def test_a_profile_of_one_gpu_is_understood(folder: Path) -> None:
    output = snakemake(folder, "--dry-run", "--profile", "workflow/profiles/gpu")
    assert re.search(r"^train +2$", output, flags=re.MULTILINE), output


def resources(output: str) -> dict[str, list[str]]:
    """By rule, what each of its jobs says of a GPU's memory."""
    found: dict[str, list[str]] = {}
    for job in re.split(r"^rule ", output, flags=re.MULTILINE)[1:]:
        if said := re.search(r"gpu_mem_mb=(\d+)", job):
            found.setdefault(job.partition(":")[0], []).append(said[1])
    return found
