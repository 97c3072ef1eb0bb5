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


# Weights and checkpoints are no declared outputs: Snakemake would delete them when a job fails.
rule train:
    input:
        # Ancient: neither a config that was touched nor a corpus that is prepared again trains anything again.
        config=ancient("results/runs/{run}/config.json"),
        corpus=lambda wildcards: ancient(f"results/corpora/{EXPERIMENTS[wildcards.run].run.prepared}/corpus.json"),
    output:
        "results/runs/{run}/run.json",
    log:
        "results/runs/{run}/train.log",
    conda:
        "../envs/lrsms.yaml"
    threads: 1
    resources:
        gpu=0,
        gpu_mem_mb=gpu_memory,
    params:
        # One launch per job: with several GPUs, it starts a process for each by itself.
        devices=num_devices,
    shell:
        "python -m lrsms train --threads {threads} --devices {params.devices} $(dirname {output:q}) 2>&1 | tee {log:q}"


rule decode:
    input:
        "results/runs/{run}/run.json",
    output:
        f"results/runs/{{run}}/hypotheses-{DECODING.digest}.jsonl",
    log:
        "results/runs/{run}/decode.log",
    conda:
        "../envs/lrsms.yaml"
    threads: 1
    resources:
        gpu_mem_mb=gpu_memory,
    params:
        project=project_file,
    shell:
        "python -m lrsms decode --project {params.project:q} --threads {threads} $(dirname {input:q}) {output:q}"
        " 2>&1 | tee {log:q}"


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


# Alone on the machine: it asks for more cores than there are, which Snakemake cuts to all of them (a cluster's profile
# says how many), and for all of a GPU's memory that jobs share: its times would be those of its neighbours too. It
# measures with as many threads as a training job has.
rule steptime:
    output:
        "results/steptime/{steptime}.json",
    log:
        "results/logs/steptime-{steptime}.log",
    conda:
        "../envs/lrsms.yaml"
    threads: 1000
    resources:
        gpu_mem_mb=lambda wildcards: gpu_bound(),
    params:
        project=project_file,
        threads=num_threads("train"),
    shell:
        "python -m lrsms steptime --project {params.project:q} --threads {params.threads} {output:q} 2>&1 | tee {log:q}"
