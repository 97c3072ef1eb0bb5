# From records to tables and figures: no GPU, no checkpoint, no audio.
FIGURE_NAMES = ["wer_by_ratio", "wer_by_parameters"]


rule aggregate:
    input:
        [scores(name) for name in EXPERIMENTS],
        sorted({f"results/steptime/{experiment.steptime}.json" for experiment in EXPERIMENTS.values()}),
    output:
        runs=f"{RESULTS}/runs.csv",
        speakers=f"{RESULTS}/speakers.csv",
    params:
        project=PROJECT_JSON,
        folder=RESULTS,
    shell:
        "{LRSMS} aggregate --project {params.project:q} {params.folder:q}"


rule tables:
    input:
        rules.aggregate.output,
    output:
        report(f"{RESULTS}/table.csv", category="Tables", labels={"table": STUDY}, caption="../report/table.rst"),
        f"{RESULTS}/table.md",
        f"{RESULTS}/table.tex",
    params:
        folder=RESULTS,
    shell:
        "{LRSMS} tables {params.folder:q}"


# The captions beside the figures are made from the same numbers.
rule figures:
    input:
        rules.aggregate.output,
    output:
        expand(f"{FIGURES}/{{name}}.pdf", name=FIGURE_NAMES),
        expand(f"{FIGURES}/{{name}}.rst", name=FIGURE_NAMES),
        [
            report(
                f"{FIGURES}/{name}.png",
                category="Figures",
                labels={"figure": name},
                caption=f"{workflow.basedir}/../{FIGURES}/{name}.rst",
            )
            for name in FIGURE_NAMES
        ],
    params:
        results=RESULTS,
        figures=FIGURES,
    shell:
        "{LRSMS} figures {params.results:q} {params.figures:q}"
