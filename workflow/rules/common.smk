# What the rules share: the study's runs, and where their files are. Nothing here knows what a run does.
import re
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from lrsms import config as schema
from lrsms import study

try:
    PROJECT = schema.parse(schema.Project, config, "config")
    EXPERIMENTS = {experiment.name: experiment for experiment in study.load(PROJECT)}
    DECODING = schema.Decoding(decoders=PROJECT.decoders, conditions=PROJECT.conditions)
except ValueError as error:
    raise WorkflowError(str(error))

LRSMS = f"{shlex.quote(sys.executable)} -m lrsms"
PROJECT_JSON = schema.canonical_json(PROJECT)
STUDY = f"{PROJECT.study}-{PROJECT.task}-{PROJECT.scale}-{PROJECT.corpus}"
RESULTS = f"results/{STUDY}"
FIGURES = f"figures/{STUDY}"


def scores(name):
    return f"results/records/{name}/scores-{DECODING.digest}.csv.gz"


# A recorded run is done. It is no rule's output any more, so that nothing upstream can ask for it again: neither files
# that were deleted nor a corpus that is prepared anew.
PENDING = [name for name in EXPERIMENTS if not Path(scores(name)).is_file()]


wildcard_constraints:
    run="|".join(map(re.escape, PENDING)) or "none",
    prepared=r"[A-Za-z0-9_.]+-[0-9a-f]{10}",
    steptime=r"[A-Za-z0-9_.-]+",
