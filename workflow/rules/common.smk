# Shared by all rules: the study's runs and the places of their files. Nothing here depends on what a run does.
import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

from lrsms.base import portable, strict
from lrsms.base.files import write_atomically
from lrsms.base.yamlfile import merged, read_yaml
from lrsms.execution import holders, local, slurm
from lrsms.execution.local import gres_of, num_gpus
from lrsms.record import start as starts
from lrsms.report import claims, results, sums
from lrsms.report.figures import names
from lrsms.study import expand as studies
from lrsms.study import testsets
from lrsms.study.project import Project

# Our reader of YAML, not Snakemake's: it refuses keys that are given twice and numbers that are none, and all verbs read
# the file so. What --config gives is merged into it.
CONFIG_FILE = studies.CONFIG_FOLDER / "config.yaml"
WHERE = f"{CONFIG_FILE} or --config"
# A pass of a study that grows by its own results, which the verb stages has begun, is told what it has grown to.
GROWN = os.environ.get("LRSMS_GROWN")
try:
    content = merged(read_yaml(CONFIG_FILE), config)
    config |= content | ({} if GROWN is None else json.loads(GROWN))
    EXECUTION = local.load(config, studies.CONFIG_FOLDER, WHERE)
    asked = strict.parse(Project, local.without(config), WHERE)
    PROJECT = testsets.with_test_corpora(asked, studies.CONFIG_FOLDER)
    EXPERIMENTS = {experiment.name: experiment for experiment in studies.load(PROJECT)}
    DECODING = PROJECT.decoding
    CLAIMS = claims.claims_of(claims.load(studies.CONFIG_FOLDER / claims.FILE), PROJECT.study, PROJECT.task)
except ValueError as error:
    sys.exit(f"error: {error}")  # one line; Snakemake would add the place in its own files

# Jobs inherit these variables; on a cluster, each job reads this file again.
if EXECUTION.portable:
    os.environ.update(portable.SETTINGS)

# A Snakemake that was killed leaves its lock; Snakemake itself says so in a message that --quiet hides.
if workflow.is_main_process and (said := holders.look()):
    print(said, file=sys.stderr)

# Slurm warns every process of a job when its time is nearly over. The warning is for training, which obeys it. All
# other processes, such as this one, must live until training has written its checkpoint.
signal.signal(signal.SIGUSR1, signal.SIG_IGN)

# Jobs call the Python that runs Snakemake, even if its environment was not activated. Our prefix replaces Snakemake's,
# so it must also set pipefail: a job must fail although its output goes through tee. Conda and images have a Python.
DEPLOYMENT = set(map(str, workflow.deployment_settings.deployment_method))
if "apptainer" in DEPLOYMENT and EXECUTION.container is None:
    sys.exit("error: --sdm apptainer needs an image: --config container=lrsms.sif (see workflow/envs/lrsms.def)")
if EXECUTION.container is not None:

    container: EXECUTION.container


if not DEPLOYMENT & {"conda", "apptainer"}:
    shell.prefix(f"set -euo pipefail; export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")

PROJECT_JSON = PROJECT.model_dump_json()  # keeps the order of decoders and conditions
# Verbs read the project from this file. As text it would fill the screen when a job fails: Snakemake prints the
# command.
PROJECT_FILE = Path("results/logs", f"project-{hashlib.sha256(PROJECT_JSON.encode()).hexdigest()[:8]}.json")
try:
    if not PROJECT_FILE.is_file() or PROJECT_FILE.read_text(encoding="utf-8") != PROJECT_JSON:
        write_atomically(PROJECT_FILE, PROJECT_JSON.encode())
except OSError as error:
    sys.exit(f"error: {PROJECT_FILE}: cannot be written ({error.strerror}); run in a clone that is yours")
STUDY = results.folder_name(PROJECT)


# What conditions are tested on that name a corpus of their own: no part of what runs are.
TESTS = [f"results/corpora/{name}/corpus.json" for name in testsets.prepared_folders(PROJECT)]


def scores(name):
    """The score table of a run's record, which all rules before the report work towards."""
    return f"results/records/{name}/{DECODING.scores}"


# Targets for which nothing is trained, decoded or timed, though runs of the study may be missing.
FROM_RECORDS = {"pages", "regenerate"}

# Some studies grow: their values are tuned first, or their seeds are added look by look. The verb runs this Snakemake
# again, pass by pass, with what is to be run then.
TUNES = any(experiment.tuning for experiment in EXPERIMENTS.values())
if (PROJECT.seeds == "adaptive" or (TUNES and PROJECT.tuned is None)) and workflow.is_main_process:
    dry = any(re.fullmatch("--dry.*|-[a-zA-Z]*n[a-zA-Z]*", word) for word in sys.argv[1:])  # -np too; not known yet
    once = ["--once"] if dry or FROM_RECORDS & set(sys.argv) else []
    command = [sys.executable, "-m", "lrsms", "stages", "--project", str(PROJECT_FILE), *once]
    sys.exit(subprocess.run([*command, "--snakemake", *sys.argv[1:]]).returncode)

# A recorded run is done. It is no rule's output any more, so that nothing upstream can ask for it again: neither files
# that were deleted nor a corpus that is prepared anew.
PENDING = [
    name
    for name, experiment in EXPERIMENTS.items()
    if experiment.trained and not experiment.open and not Path(scores(name)).is_file()
]

# While some of these choose, nothing else is done.
TUNING = any(EXPERIMENTS[name].tuning for name in PENDING)

RESULTS = f"results/{STUDY}"
FIGURES = f"figures/{STUDY}"


# Which runs, which decoding and which claims the study's results are made from: another choice has another file.
TRAINS = any(experiment.trained for experiment in EXPERIMENTS.values())
NUISANCE = any(experiment.nuisance for experiment in EXPERIMENTS.values())
SELECTION = f"{RESULTS}/{results.selection_name(PROJECT, list(EXPERIMENTS.values()), CLAIMS)}"

# What the jobs of runs make: first of those that choose; and then of those that are compared.
RECORDED = [scores(name) for name, experiment in EXPERIMENTS.items() if experiment.tuning]
if not TUNING:
    COMPARED = {name: experiment for name, experiment in EXPERIMENTS.items() if experiment.stage == "compared"}
    RECORDED += [scores(name) for name, experiment in COMPARED.items() if experiment.trained]
    RECORDED += sorted({f"results/steptime/{experiment.steptime}.json" for experiment in COMPARED.values()})

# Digests only, and none at all while nothing is recorded: Snakemake scans this expression for every file of every job.
DIGESTS = "|".join(name.rpartition("-")[2] for name in PENDING) or "none"


def from_records():
    """Whether all targets are made from records alone."""
    asked = set(workflow.dag_settings.targets)
    return bool(asked) and asked <= FROM_RECORDS


def warn_of_lost_weights():
    """Says which recorded runs would be trained again, since without weights they cannot be decoded otherwise.

    A dry run says it too, whose targets are only known from the command line.
    """
    asked = set(sys.argv[1:])
    files = {target for target in asked if target.startswith("results/records/")}
    lost = [
        name
        for name in PENDING
        if not asked & FROM_RECORDS
        and (not files or scores(name) in files)
        and not Path(f"results/runs/{name}/run.json").is_file()
        and any(Path(f"results/records/{name}").glob("scores-*.csv.gz"))
    ]
    if lost:
        print(
            f"warning: {len(lost)} recorded runs are to be decoded otherwise, but their weights are gone: they would be"
            f" trained again, and their records replaced (the first is {lost[0]})",
            file=sys.stderr,
        )


if workflow.is_main_process:
    warn_of_lost_weights()


wildcard_constraints:
    run="[^/]+" if len(PENDING) == len(EXPERIMENTS) else f"[^/]+-(?:{DIGESTS})",
    prepared=r"[A-Za-z0-9_.]+-[0-9a-f]{10}",
    steptime=r"[A-Za-z0-9_.-]+",


def check_study():
    """Ends with one line if ``python -m lrsms check`` finds a mistake, or if a cluster's jobs would get other settings.

    Targets that are made from records alone need neither a corpus nor ranks that fit, so nothing is checked for them.

    Snakemake quotes the settings for such jobs as Python would. A shell reads them correctly only if a pair of
    quotation marks is enough. Snakemake does not quote the path of Python.
    """
    passed = [str(workflow.main_snakefile), *(workflow.config_settings.config_args or [])]
    unsafe = [text for text in passed if repr(text) != f"'{text}'"]
    if unsafe and workflow.non_local_exec:
        sys.exit(
            f"error: {unsafe[0]!r}: a quotation mark, a backslash or a line break does not reach a cluster's jobs; "
            "write it into workflow/config/config.yaml, or rename the folder"
        )
    if shlex.quote(sys.executable) != sys.executable and workflow.non_local_exec:
        sys.exit(
            f"error: {sys.executable}: a blank, or what else a shell reads, in Python's path does not reach a cluster's "
            "jobs; make the environment in another folder"
        )
    if from_records() or all(Path(file).is_file() for file in RECORDED):
        return
    command = [sys.executable, "-m", "lrsms", "check", "--project", str(PROJECT_FILE)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.stderr.strip())
    check_slurm()


def project_file(wildcards):
    """For params: the file from which verbs read the project, with the values of --config."""
    return PROJECT_FILE


def start_weights(run):
    """The weights that a run begins from, if it does: found by their content, so a newer date of theirs means nothing.

    Where they are missing, the check before the first job says so, and after it the job itself.
    """
    if run.init_from is None:
        return []
    try:
        return ancient(str(starts.find(run.init_from, starts.STARTS).weights))
    except ValueError:
        return []


def trained_first(run):
    """Names the end of a dense run, if it is still to be recorded, for a run that only cuts what that one trains."""
    twin = run.trains_as
    if twin is run:
        return []
    return [ancient(f"results/runs/{name}/run.json") for name in PENDING if EXPERIMENTS[name].run == twin]


def given_tokenizer(prepared):
    """The tokenizer beside imported weights that a corpus is prepared with, if it is; likewise."""
    runs = (experiment.run for experiment in EXPERIMENTS.values())
    asked = next((run.tokenizer.sha256 for run in runs if run.prepared == prepared), None)
    try:
        return [] if asked is None else ancient(str(starts.find_tokenizer(asked, starts.STARTS)))
    except ValueError:
        return []


def roots_json(wildcards):
    """For params: the present folders of corpora."""
    return json.dumps(PROJECT.roots, ensure_ascii=False)


def execution_options(*names):
    """Options of a verb for this machine or cluster, which are no part of a run: those that are asked for here."""
    return " ".join(f"--{name}" for name in names if getattr(EXECUTION, name))


def run_labels(wildcards):
    """Labels by which readers find a run's page in the report."""
    experiment = EXPERIMENTS[wildcards.run]
    return {"cell": experiment.cell, "seed": str(experiment.run.seed)}


def show_partial():
    """After a workflow failed, prints the table of the finished runs, and why the others are missing.

    Targets that are made from records alone say themselves what is missing.
    """
    if from_records():
        return
    folder = f"results/logs/partial-{STUDY}"
    command = [sys.executable, "-m", "lrsms", "partial", "--project", str(PROJECT_FILE), folder]
    done = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True)
    log = Path(f"results/logs/aggregate-{STUDY}.log")
    said = log.read_text(errors="replace") if log.is_file() else ""
    print(*(line for line in done.stderr.splitlines() if line not in said), sep="\n", end="", file=sys.stderr)
