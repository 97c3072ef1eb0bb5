# The resources of each rule's jobs, wherever they run. They are here and not in a profile: an option on the command
# line (--set-resources, --set-threads, --default-resources) replaces the whole block of a profile, also for other
# rules. With numbers here, an option replaces one number and nothing else. A rule has the name of the verb that its
# jobs call.
from snakemake.resources import Resources

# These are for a cluster; a job that is tried again asks for more.
MEMORY_MB = {"train": 32000, "prepare": 8000, "decode": 8000, "steptime": 8000}
MINUTES = {"train": 1440, "prepare": 240, "decode": 60, "steptime": 60}
WARNING = "--signal=USR1@120"  # two minutes before its time is up, training writes a checkpoint and ends
# Threads of a job that has a GPU or is sent to a cluster. They decode the recordings that are read in place.
THREADS = 8
ALONE = 1000  # more cores than exist; Snakemake cuts it to all cores, so that no other job runs


def plain(resource):
    """A number or text that Snakemake may have wrapped."""
    return getattr(resource, "raw", resource)


def given(verb, name):
    """What --set-resources gives to a rule's jobs; None if nothing."""
    return plain(workflow.resource_settings.overwrite_resources.get(verb, {}).get(name))


def bound_of(name):
    """The limit for all jobs together, from --resources or a profile; 0 if there is none."""
    return plain(workflow.global_resources.get(name)) or 0


def names_by_default():
    """The resources that --default-resources was given, without Snakemake's own."""
    builtin = Resources.default("full")
    found = workflow.resource_settings.default_resources or {}
    return {name for name, value in found.items() if name not in builtin or plain(value) != plain(builtin[name])}


BY_DEFAULT = names_by_default()
GPUS_HERE = bound_of("gpu")
SHARED = bound_of("gpu_mem_mb") > 0  # many jobs on one GPU
# --resources on the command line replaces the limit of a GPU profile. The profile's scopes still show that it is for
# GPUs.
SCOPES = workflow.resource_settings.overwrite_resource_scopes
GPU_PROFILE = GPUS_HERE > 0 or "gpu" in SCOPES


def check_gpus():
    """Ends with one line if Snakemake would silently give fewer GPUs than were asked for."""
    asked = given("train", "gpu")
    asked = asked if isinstance(asked, int) else EXECUTION.gpus or 0
    if GPUS_HERE and asked > GPUS_HERE:
        sys.exit(f"error: training asks for {asked} GPUs, but all jobs have {GPUS_HERE}; add --resources gpu={asked}")
    if SHARED and asked > 1:
        sys.exit(f"error: training asks for {asked} GPUs, but jobs that share a GPU (gpu_mem_mb) have one each")
    if EXECUTION.portable and (GPUS_HERE or SHARED):
        sys.exit("error: 'portable' is for processors; leave it out, or the profile whose jobs have GPUs")
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
    """Whether jobs are sent to a cluster, or this is such a job; in a dry run, only the number of jobs shows it."""
    dry = workflow.dryrun and workflow.nodes is not None
    return workflow.remote_exec or workflow.non_local_exec or dry


def where_sent(value):
    """For resources: the value if jobs are sent to a cluster, else nothing."""
    return lambda wildcards: value if on_cluster() else None


def growing(value):
    """For resources: a number that grows when a job is tried again; 0 if jobs are not sent to a cluster."""
    return lambda wildcards, attempt: attempt * value if on_cluster() else 0


def wanted_gpus(verb):
    """GPUs of a job: one on a cluster, all of a GPU profile, else as many as were asked for."""
    asked = EXECUTION.gpus if verb == "train" or EXECUTION.gpus is None else min(EXECUTION.gpus, 1)
    if SHARED or asked == 0:
        return 0
    if on_cluster():
        default = num_gpus(EXECUTION.gres) if EXECUTION.gres and verb == "train" else 1
        return asked or default
    # Jobs do not choose among the GPUs of a machine. Each takes all of them, so that it is alone.
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
        # Snakemake cuts threads to the cores of its own machine, but jobs run on another one.
        found["cpus_per_task"] = lambda wildcards: wanted_threads(verb) if on_cluster() else None
    own = {"mem_mb", "runtime", "slurm_extra"} if verb == "train" else {"slurm_extra"}
    return {name: value for name, value in found.items() if name not in BY_DEFAULT or name in own or name == "gpu"}


def num_devices(wildcards, resources):
    """The number of GPUs of a training job; 1 without a GPU."""
    if resources.get("gres") and num_gpus(str(resources.gres)):
        return num_gpus(str(resources.gres))
    if given("train", "gpu") is None and EXECUTION.gpus:
        return EXECUTION.gpus
    return max(1, resources.get("gpu", 0))


def device(wildcards, resources):
    """The device that a job was promised, for ``--device``; it refuses to run elsewhere. Without a promise: auto."""
    if SHARED or resources.get("gpu", 0) or num_gpus(str(resources.get("gres", ""))):
        return "cuda"
    return "cpu" if EXECUTION.gpus == 0 or EXECUTION.portable else "auto"


def gpu_memory(wildcards, attempt):
    """GPU memory of a run's jobs in MB, or 0 if jobs do not share a GPU, since only torch can work it out.

    Snakemake cuts it to the whole memory. A job that is tried again asks for more.
    """
    return attempt * memory_of(EXPERIMENTS[wildcards.run].steptime) if SHARED else 0


@cache
def memory_of(steptime):
    """Memory in MB of the runs that share a step time, which have one shape."""
    from lrsms.cost.memory import device_memory_mb

    run = next(experiment.run for experiment in EXPERIMENTS.values() if experiment.steptime == steptime)
    return device_memory_mb(run)


def wanted_threads(verb):
    """Threads of a rule's jobs, from --set-threads or else from here; step times take as many as training."""
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
