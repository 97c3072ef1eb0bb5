# One run: its configuration, its training, its hypotheses, its record.
rule resolve:
    output:
        "results/runs/{run}/config.json",
    log:
        "results/runs/{run}/resolve.log",
    conda:
        "../envs/lrsms.yaml"
    params:
        project=project_file,
    shell:
        "python -m lrsms resolve --project {params.project:q} {wildcards.run:q} {output:q} 2>&1 | tee {log:q}"


# Weights and checkpoints are not declared as outputs, because Snakemake would delete them when a job fails.
rule train:
    input:
        # Ancient: a config with a newer date, or a corpus that was prepared again, does not train again.
        config=ancient("results/runs/{run}/config.json"),
        corpus=lambda wildcards: ancient(f"results/corpora/{EXPERIMENTS[wildcards.run].run.prepared}/corpus.json"),
        start=lambda wildcards: start_weights(EXPERIMENTS[wildcards.run].run),
        trained=lambda wildcards: trained_first(EXPERIMENTS[wildcards.run].run),
    output:
        "results/runs/{run}/run.json",
    log:
        "results/runs/{run}/train.log",
    conda:
        "../envs/lrsms.yaml"
    threads: job_threads("train")
    resources:
        **resources_of("train"),
        gpu_mem_mb=gpu_memory,
    params:
        # One command per job; with several GPUs, it starts a process for each.
        devices=num_devices,
        device=device,
        threads=verb_threads("train"),
        roots=roots_json,
        options=execution_options("graphs", "deterministic"),
    shell:
        "python -m lrsms train --threads {params.threads} --devices {params.devices} --device {params.device}"
        " --roots {params.roots:q} {params.options}"
        " $(dirname {output:q}) 2>&1 | tee {log:q}"


# The runs' own corpus is no input: one that was deleted and prepared again would have them trained again.
rule decode:
    input:
        run="results/runs/{run}/run.json",
        tests=ancient(TESTS),
    output:
        f"results/runs/{{run}}/{DECODING.hypotheses}",
    log:
        "results/runs/{run}/decode.log",
    conda:
        "../envs/lrsms.yaml"
    threads: job_threads("decode")
    resources:
        **resources_of("decode"),
        gpu_mem_mb=gpu_memory,
    params:
        project=project_file,
        device=device,
        threads=verb_threads("decode"),
    shell:
        "python -m lrsms decode --project {params.project:q} --threads {params.threads} --device {params.device}"
        " $(dirname {input.run:q}) {output:q} 2>&1 | tee {log:q}"


rule score:
    input:
        rules.decode.output,
    output:
        scores("{run}"),
    log:
        "results/runs/{run}/score.log",
    conda:
        "../envs/lrsms.yaml"
    shell:
        "python -m lrsms score $(dirname {input:q}) {input:q} {output:q} 2>&1 | tee {log:q}"


# It runs alone on the machine, or with as much of a cluster's machine as training has, and takes all memory of a shared
# GPU. Other jobs would change its times.
rule steptime:
    output:
        "results/steptime/{steptime}.json",
    log:
        "results/logs/steptime-{steptime}.log",
    conda:
        "../envs/lrsms.yaml"
    threads: job_threads("steptime")
    resources:
        **resources_of("steptime"),
        gpu_mem_mb=lambda wildcards: bound_of("gpu_mem_mb"),
    params:
        project=project_file,
        device=device,
        threads=verb_threads("steptime"),
        options=execution_options("graphs"),
    shell:
        "python -m lrsms steptime --project {params.project:q} --threads {params.threads} --device {params.device}"
        " {params.options} {output:q} 2>&1 | tee {log:q}"
