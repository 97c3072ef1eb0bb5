# From records to tables and figures: no GPU, no checkpoint, no audio.
LOSSES = names.have_losses(EXPERIMENTS.values(), DECODING, Path("results/records"), pending=True)
FIGURE_NAMES = names.figure_names(list(EXPERIMENTS.values()), DECODING, LOSSES)


rule aggregate:
    input:
        RECORDED,
    output:
        [f"{RESULTS}/nuisance.csv"] if NUISANCE else [],
        runs=f"{RESULTS}/runs.csv",
        speakers=f"{RESULTS}/speakers.csv",
        pairs=f"{RESULTS}/pairs.csv",
        sums=f"{RESULTS}/{sums.FILE}",
        project=f"{RESULTS}/{results.FILE}",
        selection=SELECTION,
    log:
        f"results/logs/aggregate-{STUDY}.log",
    conda:
        "../envs/lrsms.yaml"
    params:
        project=project_file,
    shell:
        "python -m lrsms aggregate --project {params.project:q} $(dirname {output.runs:q}) {output.selection:q}"
        " 2>&1 | tee {log:q}"


rule tables:
    input:
        rules.aggregate.output.runs,
        rules.aggregate.output.speakers,
    output:
        csv=report(
            f"{RESULTS}/table.csv",
            category="2 Tables",
            labels={"table": "all that is known, as CSV"},
            caption="../report/table.rst",
        ),
        markdown=f"{RESULTS}/table.md",
        latex=f"{RESULTS}/table.tex",
    log:
        f"results/logs/tables-{STUDY}.log",
    conda:
        "../envs/lrsms.yaml"
    shell:
        "python -m lrsms tables $(dirname {output.csv:q}) 2>&1 | tee {log:q}"


# Judges the paper's findings by the results.
rule claims:
    input:
        rules.aggregate.output.runs,
        rules.aggregate.output.speakers,
    output:
        report(
            f"{RESULTS}/claims.html",
            category="1 Verdicts",
            labels={"verdicts": STUDY},
            caption="../report/claims.rst",
        ),
        [f"{RESULTS}/claims.{kind}" for kind in ("csv", "json", "md", "tex")],
    log:
        f"results/logs/claims-{STUDY}.log",
    conda:
        "../envs/lrsms.yaml"
    params:
        project=project_file,
        study=PROJECT.study,
    shell:
        "python -m lrsms claims --project {params.project:q} {params.study:q} 2>&1 | tee {log:q}"


# The captions beside the figures are made from the same numbers.
rule figures:
    input:
        rules.aggregate.output.speakers,
        rules.aggregate.output.project,
        runs=rules.aggregate.output.runs,
    output:
        expand(f"{FIGURES}/{{name}}.{{kind}}", name=FIGURE_NAMES, kind=[kind for kind in names.KINDS if kind != "png"]),
        [
            report(
                f"{FIGURES}/{name}.png",
                category="3 Figures",
                labels={"figure": name.replace("_", " ")},
                caption=f"{workflow.basedir}/../{FIGURES}/{name}.rst",
            )
            for name in FIGURE_NAMES
        ],
    log:
        f"results/logs/figures-{STUDY}.log",
    conda:
        "../envs/lrsms.yaml"
    params:
        folder=lambda wildcards, output: Path(output[0]).parent,
    shell:
        "python -m lrsms figures $(dirname {input.runs:q}) {params.folder:q} 2>&1 | tee {log:q}"


# Prints the table, as wide as the terminal, and the folder of the figures. It is called by name.
rule show:
    input:
        rules.figures.output,
        table=rules.tables.output.csv,
    log:
        f"results/logs/show-{STUDY}.log",
    conda:
        "../envs/lrsms.yaml"
    params:
        figures=lambda wildcards, input: Path(input[0]).parent,
    shell:
        "python -m lrsms show $(dirname {input.table:q}) {input.table:q} {params.figures:q} 2> {log:q}"
        " || {{ cat {log:q} >&2; exit 1; }}"
