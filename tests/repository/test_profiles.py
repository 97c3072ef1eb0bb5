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
from scratch import CORPUS, PRESET, ROOT, STUDY

from lrsms.base.strict import parse
from lrsms.base.yamlfile import read_yaml
from lrsms.cost.memory import device_memory_mb
from lrsms.study import expand
from lrsms.study.project import Project

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
    shutil.copytree(ROOT / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("local.yaml"))
    (folder / "slurm").symlink_to("workflow/profiles/slurm")
    config = folder / "workflow/config"
    (config / "corpora/small.yaml").write_text(CORPUS)
    (config / "presets/test-asr.yaml").write_text(PRESET)
    (config / "studies/scratch.yaml").write_text(STUDY)
    for experiment in expand.load(parse(Project, read_yaml(config / "config.yaml") | ASKED, "config.yaml"), config):
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
    settings = "slurm_account: your-account\nslurm_partition: your-partition\ngpus: 4\ngpu_model: a100\n"
    (folder / "workflow/config/local.yaml").write_text(settings)
    on_slurm(folder, tools, roots='{"mine": "/a b; $HOME"}')
    options, script = submitted(tools)["train"]
    assert {"-A", "-p", "--gpus=a100:4", "--signal=USR1@120", "--cpus-per-task=8"} <= set(options)
    assert (value(options, "-p"), value(options, "--mem"), value(options, "-t")) == ("your-partition", "32000", "1440")
    assert value(options, "-D") == str(folder)  # a shell has not read it
    assert f"'{folder}/workflow/Snakefile'" in script
    assert """'roots={"mine": "/a b; $HOME"}'""" in script
    assert not [option for option in options if "ntasks" in option]  # one task, which starts a process for each GPU
    options, _ = submitted(tools)["steptime"]
    assert {"--gpus=a100:1", "--cpus-per-task=8"} <= set(options)


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


SLURM = ("--profile", "slurm")
GPU = ("--profile", "workflow/profiles/gpu")
PACKED = ("--profile", "workflow/profiles/packed")
OF_SLURM = {
    "train": {
        "gpu": "1",
        "mem_mb": "32000",
        "runtime": "1440",
        "cpus_per_task": "8",
        "slurm_extra": "--signal=USR1@120",
    },
    "decode": {"gpu": "1", "mem_mb": "8000", "runtime": "60", "cpus_per_task": "8"},
    "steptime": {"gpu": "1", "mem_mb": "8000", "runtime": "60", "cpus_per_task": "8"},
    "prepare": {"mem_mb": "8000", "runtime": "240", "cpus_per_task": "4"},
}
WITH_GPUS = ("train", "decode", "steptime")
NOTHING = {rule: {"gpu": "0", "mem_mb": "0"} for rule in WITH_GPUS}
ONE_GPU = {rule: {"gpu": "1"} for rule in WITH_GPUS}


def but(expected: dict[str, dict[str, str]], **changed: dict[str, str]) -> dict[str, dict[str, str]]:
    return {rule: asked | changed.get(rule, {}) for rule, asked in expected.items()}


@pytest.mark.parametrize(
    ("arguments", "asked", "local", "expected", "told"),
    [
        (SLURM, {}, "", OF_SLURM, ["--threads 8 --devices 1 --device cuda"]),
        (("--set-resources", "train:gpu=4"), {}, "", but(NOTHING, train={"gpu": "4"}), ["--devices 4 --device cuda"]),
        (
            (
                *SLURM,
                "--set-resources",
                "train:gpu=4",
                "--set-threads",
                "decode=2",
                "--default-resources",
                "mem_mb=9000",
            ),
            {},
            "",
            but(
                OF_SLURM,
                train={"gpu": "4"},
                decode={"cpus_per_task": "2", "mem_mb": "9000"},
                steptime={"mem_mb": "9000"},
                prepare={"mem_mb": "9000"},
            ),
            ["--devices 4 --device cuda", "decode --project .* --threads 2 --device cuda"],
        ),
        (
            (*SLURM, "--set-resources", "train:mem_mb=64000"),
            {"gpus": "4"},
            "gpus: 2\nslurm_partition: long\nslurm_extra: --exclude=node7\n",
            but(
                OF_SLURM,
                train={"gpu": "4", "mem_mb": "64000", "slurm_extra": "--signal=USR1@120 --exclude=node7"},
                prepare={"slurm_partition": "long", "slurm_extra": "--exclude=node7"},
            ),
            ["--devices 4 --device cuda"],
        ),
        (
            (*SLURM, "--set-threads", "train=2", "--attempt", "2"),
            {"gpus": "2"},
            "gres: gpu:a100\n",
            {
                "train": {"gpu": "0", "gres": "gpu:a100:2", "cpus_per_task": "2", "mem_mb": "64000", "runtime": "2880"},
                "steptime": {"gpu": "0", "gres": "gpu:a100:1", "cpus_per_task": "2", "mem_mb": "16000"},
            },
            ["--threads 2 --devices 2 --device cuda", "steptime .* --threads 2 --device cuda"],
        ),
        (
            (*SLURM, "--set-resources", "train:gres=gpu:4"),
            {},
            "",
            but(OF_SLURM, train={"gpu": "0", "gres": "gpu:4"}),
            ["--devices 4 --device cuda"],
        ),
        (
            GPU,
            {},
            "",
            ONE_GPU,
            ["train --threads 8 --devices 1 --device cuda", "steptime .* --threads 8 --device cuda"],
        ),
        ((*GPU, "--cores", "2"), {}, "", ONE_GPU, ["steptime .* --threads 2 --device cuda"]),
        ((*GPU, "--set-threads", "train=3"), {}, "", ONE_GPU, ["decode .* --threads 8 ", "steptime .* --threads 3 "]),
        ((*GPU, "--resources", "mem_mb=900"), {}, "", ONE_GPU, ["--device cuda"]),
        (
            PACKED,
            {},
            "",
            but(NOTHING),
            ["--threads 1 --devices 1 --device cuda", "steptime .* --threads 1 --device cuda"],
        ),
        ((), {"gpus": "0"}, "", NOTHING, ["--threads 1 --devices 1 --device cpu"]),
        ((), {}, "", NOTHING, ["--threads 1 --devices 1 --device auto", "steptime .* --threads 1 --device auto"]),
    ],
)
@pytest.mark.slow
def test_each_rule_asks_for_what_it_needs_whatever_else_is_given(
    folder: Path,
    tools: Path,
    arguments: tuple[str, ...],
    asked: dict[str, str],
    local: str,
    expected: dict[str, dict[str, str]],
    told: list[str],
) -> None:
    (folder / "workflow/config/local.yaml").write_text(local)
    shutil.rmtree(folder / "results/corpora")  # so that it is prepared
    output = snakemake(folder, "--dry-run", "--printshellcmds", *arguments, path=tools, **asked)
    jobs = said(output)
    for rule, resources in expected.items():
        assert resources.items() <= jobs[rule].items(), output
    for words in told:
        assert re.search(rf"lrsms .*{words}", output), output


@pytest.mark.parametrize(
    ("arguments", "asked", "message"),
    [
        ((*GPU, "--set-resources", "train:gpu=4"), {}, "asks for 4 GPUs, but all jobs have 1; add --resources gpu=4"),
        (PACKED, {"gpus": "2"}, "jobs that share a GPU (gpu_mem_mb) have one each"),
        ((*PACKED, "--resources", "mem_mb=9"), {}, "--resources replaces the profile's own; add gpu_mem_mb=76000"),
        ((), {"gpus": "many"}, "'gpus' is \"many\""),
    ],
)
@pytest.mark.slow
def test_what_snakemake_would_cut_or_drop_is_refused(
    folder: Path, arguments: tuple[str, ...], asked: dict[str, str], message: str
) -> None:
    last = snakemake(folder, "--dry-run", *arguments, **asked).strip().splitlines()[-1]
    assert last.startswith("error: ") and message in last


def test_what_slurm_lacks_is_said_before_the_first_job(folder: Path, tools: Path) -> None:
    (tools / "sinfo").write_text("#!/bin/sh\necho 'gpu*'\n")
    output = on_slurm(folder, tools, slurm_partition="gpuu")
    assert (
        output.strip().splitlines()[-1].startswith("error: slurm_partition 'gpuu': the cluster has no such partition")
    )
    assert not (tools / "sbatch.calls").exists()


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


def test_how_training_is_executed_is_an_option_of_its_jobs(folder: Path) -> None:
    shown = ("--dry-run", "--printshellcmds")
    assert "--graphs" not in snakemake(folder, *shown)
    assert re.search(
        r"lrsms train .* --graphs --deterministic", snakemake(folder, *shown, graphs="true", deterministic="true")
    )


def test_jobs_that_share_a_gpu_say_what_they_need_of_its_memory(folder: Path) -> None:
    config = folder / "workflow/config"
    experiments = expand.load(parse(Project, read_yaml(config / "config.yaml") | ASKED, "config.yaml"), config)
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


def said(output: str) -> dict[str, dict[str, str]]:
    """By rule, the resources of its first job."""
    found: dict[str, dict[str, str]] = {}
    for job in re.split(r"^rule ", output, flags=re.MULTILINE)[1:]:
        if line := re.search(r"^    resources: (.+)$", job, flags=re.MULTILINE):
            asked = dict(part.split("=", 1) for part in line[1].split(", ") if "=" in part)
            found.setdefault(job.partition(":")[0], asked)
    return found


def resources(output: str) -> dict[str, list[str]]:
    """By rule, what each of its jobs says of a GPU's memory."""
    found: dict[str, list[str]] = {}
    for job in re.split(r"^rule ", output, flags=re.MULTILINE)[1:]:
        if said := re.search(r"gpu_mem_mb=(\d+)", job):
            found.setdefault(job.partition(":")[0], []).append(said[1])
    return found
