# What the rules share: the study's runs, and where their files are. Nothing here knows what a run does.
import re
import shlex
import subprocess
import sys
from pathlib import Path

from lrsms import config as schema
from lrsms import study

try:
    PROJECT = schema.parse(schema.Project, config, "workflow/config/config.yaml or --config")
    EXPERIMENTS = {experiment.name: experiment for experiment in study.load(PROJECT)}
    DECODING = PROJECT.decoding
except ValueError as error:
    sys.exit(f"error: {error}")  # one line, where Snakemake would add where in its own files it was raised

# Jobs call the Python that runs Snakemake, also where its environment was not activated. A prefix of our own takes the
# place of Snakemake's, which makes a job fail although its output goes through tee.
if "conda" not in map(str, workflow.deployment_settings.deployment_method):
    shell.prefix(f"set -euo pipefail; export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")

PROJECT_JSON = PROJECT.model_dump_json()  # keeps the order of decoders and conditions
STUDY = f"{PROJECT.study}-{PROJECT.task}-{PROJECT.scale}-{PROJECT.corpus}"
RESULTS = f"results/{STUDY}"
FIGURES = f"figures/{STUDY}"


def scores(name):
    """The score table of a run's record: the goal of everything before the report."""
    return f"results/records/{name}/{DECODING.scores}"


# Which runs and which decoding the study's results are made from: another choice has another file, so that results are
# made anew also where Snakemake remembers nothing, as in a fresh clone.
ORDER = [list(PROJECT.decoders), list(PROJECT.conditions)]  # which tables and figures show first
SELECTION = f"{RESULTS}/runs-{schema.digest([sorted(EXPERIMENTS), DECODING.digest, ORDER], 8)}.txt"

# A recorded run is done. It is no rule's output any more, so that nothing upstream can ask for it again: neither files
# that were deleted nor a corpus that is prepared anew.
PENDING = [name for name in EXPERIMENTS if not Path(scores(name)).is_file()]
# Digests only, and none at all while nothing is recorded: Snakemake scans this expression for every file of every job.
DIGESTS = "|".join(name.rpartition("-")[2] for name in PENDING) or "none"


wildcard_constraints:
    run="[^/]+" if len(PENDING) == len(EXPERIMENTS) else f"[^/]+-(?:{DIGESTS})",
    prepared=r"[A-Za-z0-9_.]+-[0-9a-f]{10}",
    steptime=r"[A-Za-z0-9_.-]+",


def check_study():
    """Ends with one line where ``python -m lrsms check`` finds a mistake."""
    command = [sys.executable, "-m", "lrsms", "check", "--project", PROJECT_JSON]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.stderr.strip())
