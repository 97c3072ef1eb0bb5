# What each rule's jobs ask for, wherever they run. It is said here and not in a profile: an option on the command line
# (--set-resources, --set-threads, --default-resources) takes the place of a profile's whole block, and with it of what the
# block says of other rules. So each number here can be given anew, and nothing else is lost with it. A rule is called as
# the verb that its jobs call.
from snakemake.resources import Resources

# On a cluster; a job that is tried again asks for more.
MEMORY_MB = {"train": 32000, "prepare": 8000, "decode": 8000, "steptime": 8000}
MINUTES = {"train": 1440, "prepare": 240, "decode": 60, "steptime": 60}
WARNING = "--signal=USR1@120"  # two minutes before its time is up, training writes a checkpoint and ends
# Of a job that has a GPU, or is sent to a cluster; recordings that are read in place are decoded by so many.
THREADS = 8
ALONE = 1000  # more cores than there are, which Snakemake cuts to all of them: no other job runs beside


def plain(resource):
    """A number or text that Snakemake may have wrapped."""
    return getattr(resource, "raw", resource)


def given(verb, name):
    """What --set-resources gives to a rule's jobs; None if nothing."""
    return plain(workflow.resource_settings.overwrite_resources.get(verb, {}).get(name))


def bound_of(name):
    """What --resources, or a profile, says that all jobs may take together; 0 where nothing does."""
    return plain(workflow.global_resources.get(name)) or 0


def names_by_default():
    """What --default-resources was given, beside what Snakemake gives by itself."""
    builtin = Resources.default("full")
    found = workflow.resource_settings.default_resources or {}
    return {name for name, value in found.items() if name not in builtin or plain(value) != plain(builtin[name])}


BY_DEFAULT = names_by_default()
GPUS_HERE = bound_of("gpu")
SHARED = bound_of("gpu_mem_mb") > 0  # many jobs on one GPU
# A profile that is of GPUs says so a second time, where nobody says anything else: --resources replaces the bound.
SCOPES = workflow.resource_settings.overwrite_resource_scopes
GPU_PROFILE = GPUS_HERE > 0 or "gpu" in SCOPES


def check_gpus():
    """Ends with one line where Snakemake would give fewer GPUs than were asked for, and say nothing."""
    asked = given("train", "gpu")
    asked = asked if isinstance(asked, int) else EXECUTION.gpus or 0
    if GPUS_HERE and asked > GPUS_HERE:
        sys.exit(f"error: training asks for {asked} GPUs, but all jobs have {GPUS_HERE}; add --resources gpu={asked}")
    if SHARED and asked > 1:
        sys.exit(f"error: training asks for {asked} GPUs, but jobs that share a GPU (gpu_mem_mb) have one each")
    if "gpu_mem_mb" in SCOPES and not SHARED:
        sys.exit("error: --resources replaces the profile's own; add gpu_mem_mb=76000, or what your GPU has, to it")
    extra = given("train", "slurm_extra")
    if extra is not None and "--signal" not in str(extra) and workflow.is_main_process:
        print(
            f"warning: train:slurm_extra replaces {WARNING}, by which training is told to write a checkpoint; give other"
            " options of sbatch as --config slurm_extra=...",
            file=sys.stderr,
        )


check_gpus()


def on_cluster():
    """Whether jobs are sent to a cluster, or this is one of them; of a dry run, only the number of jobs says so."""
    dry = workflow.dryrun and workflow.nodes is not None
    return workflow.remote_exec or workflow.non_local_exec or dry


def where_sent(value):
    """For resources: the value where jobs are sent to a cluster, and nothing elsewhere."""
    return lambda wildcards: value if on_cluster() else None


def growing(value):
    """Likewise, a number of a unit: more where a job is tried again, 0 where nothing is asked for."""
    return lambda wildcards, attempt: attempt * value if on_cluster() else 0


def wanted_gpus(verb):
    """Of a job: one on a cluster, all that a GPU profile has, else as many as were asked for."""
    asked = EXECUTION.gpus if verb == "train" or EXECUTION.gpus is None else min(EXECUTION.gpus, 1)
    if SHARED or asked == 0:
        return 0
    if on_cluster():
        default = num_gpus(EXECUTION.gres) if EXECUTION.gres and verb == "train" else 1
        return asked or default
    # Jobs do not choose among the GPUs of a machine: each takes all, so that it is alone.
    return max(GPUS_HERE, asked or 0, int(GPU_PROFILE))


def resources_of(verb):
    """The resources of the jobs of a rule, for a rule's resources."""
    found = {}
    if verb != "prepare":
        by_gres = num_gpus(str(given(verb, "gres") or ""))
        uses_gres = EXECUTION.gres is not None and given(verb, "gpu") is None

        def gpu(wildcards):
            return 0 if by_gres or (uses_gres and on_cluster()) else wanted_gpus(verb)

        found["gpu"] = gpu
        if EXECUTION.gres is not None:
            found["gres"] = lambda wildcards: (
                gres_of(EXECUTION.gres, wanted_gpus(verb)) if uses_gres and on_cluster() and wanted_gpus(verb) else None
            )
        if EXECUTION.gpu_model is not None:
            found["gpu_model"] = lambda wildcards: (
                EXECUTION.gpu_model if on_cluster() and not by_gres and wanted_gpus(verb) else None
            )
    for name in ("slurm_account", "slurm_partition"):
        if getattr(EXECUTION, name) is not None:
            found[name] = getattr(EXECUTION, name)
    extra = " ".join(filter(None, [WARNING if verb == "train" else "", EXECUTION.slurm_extra]))
    if extra:
        found["slurm_extra"] = where_sent(extra)
    found["mem_mb"], found["runtime"] = growing(MEMORY_MB[verb]), growing(MINUTES[verb])
    if given(verb, "cpus_per_gpu") is None:
        # Snakemake cuts threads to the cores of the machine that it runs on, which is not the one that jobs are sent to.
        found["cpus_per_task"] = lambda wildcards: wanted_threads(verb) if on_cluster() else None
    own = {"mem_mb", "runtime", "slurm_extra"} if verb == "train" else {"slurm_extra"}
    return {name: value for name, value in found.items() if name not in BY_DEFAULT or name in own or name == "gpu"}


def num_devices(wildcards, resources):
    """The GPUs that a training job has, or else the one processor."""
    if resources.get("gres") and num_gpus(str(resources.gres)):
        return num_gpus(str(resources.gres))
    if given("train", "gpu") is None and EXECUTION.gpus:
        return EXECUTION.gpus
    return max(1, resources.get("gpu", 0))


def device(wildcards, resources):
    """What a job was promised, for ``--device``: it refuses to run elsewhere. Nothing was promised: what there is."""
    if SHARED or resources.get("gpu", 0) or num_gpus(str(resources.get("gres", ""))):
        return "cuda"
    return "cpu" if EXECUTION.gpus == 0 else "auto"


def gpu_memory(wildcards, attempt):
    """What a run's jobs take of a GPU's memory, in MB: only where jobs share one, since torch is needed to know it.

    Snakemake cuts it to all there is. A job that is tried again asks for more.
    """
    return attempt * memory_of(EXPERIMENTS[wildcards.run].steptime) if SHARED else 0


@cache
def memory_of(steptime):
    """In MB, of the runs whose training step is timed together, which are of one shape."""
    from lrsms.cost.memory import device_memory_mb

    run = next(experiment.run for experiment in EXPERIMENTS.values() if experiment.steptime == steptime)
    return device_memory_mb(run)


def wanted_threads(verb):
    """What --set-threads gives to each job of a rule, or else what is set here; step times have training's."""
    if verb == "steptime":
        return max(wanted_threads("train"), plain(workflow.resource_settings.overwrite_threads.get(verb)) or 1)
    set_here = plain(workflow.resource_settings.overwrite_threads.get(verb))
    if set_here is not None:
        if not isinstance(set_here, int):
            raise ValueError(f"--set-threads {verb}={set_here}: must be a number")
        return set_here
    if verb == "prepare":
        return 4
    return THREADS if on_cluster() or (wanted_gpus(verb) and not SHARED) else 1


def job_threads(verb):
    """For a rule's threads: what Snakemake keeps free for a job."""

    def threads(wildcards):
        unbound = verb != "prepare" and wanted_gpus(verb) and not GPUS_HERE
        alone = not on_cluster() and (verb == "steptime" or unbound)
        return ALONE if alone else wanted_threads(verb)

    return threads


def verb_threads(verb):
    """For params: what a verb is told. Of step times, what training has: the times would be of something else."""

    def threads(wildcards):
        bounds = [wanted_threads("train" if verb == "steptime" else verb), workflow.resource_settings.max_threads]
        bounds.append(None if on_cluster() else workflow.cores)
        return min(bound for bound in bounds if bound is not None)

    return threads


def check_slurm():
    """Ends with one line where Slurm would not take the jobs; several clusters at once are left to themselves."""
    if not workflow.non_local_exec or type(workflow.executor_settings).__module__ != "snakemake_executor_plugin_slurm":
        return
    asked = [rule.resources for rule in workflow.rules if rule.name in MINUTES]
    if any(one.keys() & {"cluster", "clusters", "slurm_cluster"} for one in asked):
        return
    partitions, accounts = ([plain(one.get(name)) for one in asked] for name in ("slurm_partition", "slurm_account"))
    try:
        slurm.check(partitions, accounts)
    except ValueError as error:
        sys.exit(f"error: {error}")
