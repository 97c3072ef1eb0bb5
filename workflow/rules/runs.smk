# One run: its configuration, its training, its hypotheses, its record.
rule resolve:
    output:
        "results/runs/{run}/config.json",
    params:
        project=PROJECT_JSON,
    shell:
        "{LRSMS} resolve --project {params.project:q} {wildcards.run:q} {output:q}"


# Weights and checkpoints are no declared outputs: Snakemake would delete them when a job fails.
rule train:
    input:
        config="results/runs/{run}/config.json",
        corpus=lambda wildcards: f"results/corpora/{EXPERIMENTS[wildcards.run].run.prepared}/corpus.json",
    output:
        "results/runs/{run}/run.json",
    log:
        "results/runs/{run}/train.log",
    threads: 1
    shell:
        "{LRSMS} train --threads {threads} $(dirname {output:q}) 2>&1 | tee {log:q}"


rule decode:
    input:
        "results/runs/{run}/run.json",
    output:
        f"results/runs/{{run}}/hypotheses-{DECODING.digest}.jsonl",
    log:
        "results/runs/{run}/decode.log",
    params:
        project=PROJECT_JSON,
    threads: 1
    shell:
        "{LRSMS} decode --project {params.project:q} --threads {threads} $(dirname {input:q}) {output:q} 2>&1 | tee {log:q}"


rule score:
    input:
        rules.decode.output,
    output:
        scores("{run}"),
    shell:
        "{LRSMS} score $(dirname {input:q}) {input:q} {output:q}"


# Alone on the machine: it asks for every core.
rule steptime:
    output:
        "results/steptime/{steptime}.json",
    log:
        "results/logs/steptime-{steptime}.log",
    params:
        project=PROJECT_JSON,
    threads: workflow.cores
    shell:
        "{LRSMS} steptime --project {params.project:q} --threads {threads} {output:q} 2>&1 | tee {log:q}"
