# Corpora: rendered or read, checked and tokenized once.
rule prepare:
    input:
        lambda wildcards: given_tokenizer(wildcards.prepared),
    output:
        "results/corpora/{prepared}/corpus.json",
    log:
        "results/logs/prepare-{prepared}.log",
    conda:
        "../envs/lrsms.yaml"
    threads: job_threads("prepare")
    resources:
        **resources_of("prepare"),
    params:
        project=project_file,
        threads=verb_threads("prepare"),
    shell:
        "python -m lrsms prepare --project {params.project:q} --threads {params.threads} $(dirname {output:q}) 2>&1 | tee {log:q}"
