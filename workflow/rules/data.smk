# Corpora: rendered or read, checked and tokenized once.
rule prepare:
    output:
        "results/corpora/{prepared}/corpus.json",
    log:
        "results/logs/prepare-{prepared}.log",
    params:
        project=PROJECT_JSON,
    shell:
        "{LRSMS} prepare --project {params.project:q} $(dirname {output:q}) 2>&1 | tee {log:q}"
