# Corpora: rendered or read, checked and tokenized once.
rule prepare:
    output:
        "results/corpora/{prepared}/corpus.json",
    log:
        "results/logs/prepare-{prepared}.log",
    conda:
        "../envs/lrsms.yaml"
    threads: 4
    params:
        project=project_file,
    shell:
        "python -m lrsms prepare --project {params.project:q} --threads {threads} $(dirname {output:q}) 2>&1 | tee {log:q}"
