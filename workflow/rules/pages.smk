# What is made of the records that there are: it asks for no run.
PAGES = f"results/pages/{STUDY}"


# What the report shows besides, of the runs that there are: it asks for no run, so that a study that is not finished has a
# report too. Asked for by name, and forced: make report.
rule pages:
    output:
        report(
            f"{PAGES}/table.html",
            category="2 Tables",
            labels={"table": STUDY},
            caption="../report/table.rst",
        ),
        report(
            directory(f"{PAGES}/plans"),
            patterns=["{run}.html"],
            category="4 Plan",
            labels=lambda wildcards: {"cell": EXPERIMENTS[wildcards.run].cell},
        ),
        report(
            f"{PAGES}/provenance.html",
            category="5 Provenance",
            labels={"provenance": STUDY},
            caption="../report/provenance.rst",
        ),
        report(
            directory(f"{PAGES}/runs"),
            patterns=["{run}.html"],
            category="6 Runs",
            labels=run_labels,
        ),
        summary=f"{PAGES}/summary.rst",
    log:
        f"results/logs/pages-{STUDY}.log",
    conda:
        "../envs/lrsms.yaml"
    params:
        project=project_file,
        folder=RESULTS,
    shell:
        "python -m lrsms pages --project {params.project:q} {params.folder:q} $(dirname {output.summary:q})"
        " 2>&1 | tee {log:q}"


# Every study that was committed, from the records alone: it asks for no run. It declares no output, so that it makes them
# again whenever it is asked for.
rule regenerate:
    log:
        "results/logs/regenerate.log",
    conda:
        "../envs/lrsms.yaml"
    shell:
        "python -m lrsms regenerate 2>&1 | tee {log:q}"
