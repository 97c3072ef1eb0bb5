# From records to tables and figures: no GPU, no checkpoint, no audio.
RECORDED = [scores(name) for name in EXPERIMENTS] + sorted(
    {f"results/steptime/{experiment.steptime}.json" for experiment in EXPERIMENTS.values()}
)
FIGURE_NAMES = ["wer_by_ratio", "wer_by_parameters"]


rule aggregate:
    input:
        RECORDED,
    output:
        runs=f"{RESULTS}/runs.csv",
        speakers=f"{RESULTS}/speakers.csv",
        selection=SELECTION,
    log:
        f"results/logs/aggregate-{STUDY}.log",
    conda:
        "../envs/lrsms.yaml"
    params:
        project=PROJECT_JSON,
    shell:
        "rm -f $(dirname {output.runs:q})/runs-*.txt; "
        "python -m lrsms aggregate --project {params.project:q} $(dirname {output.runs:q}) {output.selection:q}"
        " 2>&1 | tee {log:q}"


rule tables:
    input:
        rules.aggregate.output.runs,
        rules.aggregate.output.speakers,
    output:
        csv=report(
            f"{RESULTS}/table.csv",
            category="Tables",
            labels={"table": STUDY},
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


# The captions beside the figures are made from the same numbers.
rule figures:
    input:
        rules.aggregate.output.speakers,
        runs=rules.aggregate.output.runs,
    output:
        expand(f"{FIGURES}/{{name}}.pdf", name=FIGURE_NAMES),
        expand(f"{FIGURES}/{{name}}.rst", name=FIGURE_NAMES),
        [
            report(
                f"{FIGURES}/{name}.png",
                category="Figures",
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


# Prints the table, as wide as the terminal; asked for by name.
rule show:
    input:
        rules.figures.output,
        table=rules.tables.output.csv,
    log:
        f"results/logs/show-{STUDY}.log",
    conda:
        "../envs/lrsms.yaml"
    shell:
        "python -m lrsms show $(dirname {input.table:q}) {input:q} 2> {log:q}"
