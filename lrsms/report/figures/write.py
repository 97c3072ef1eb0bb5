"""Draws the figures of a study and writes them, each with its caption."""

from collections.abc import Callable, Sequence
from pathlib import Path

from lrsms.config import Decoding
from lrsms.files import write_atomically
from lrsms.report.figures import change, curves, pareto, ranks, snr, spectra, steptime, wer_by_ratio
from lrsms.report.figures.material import Drawn, Material, load
from lrsms.report.figures.names import figure_names
from lrsms.report.figures.style import save, style
from lrsms.study import Experiment

DRAWINGS: dict[str, Callable[[Material], Drawn]] = {
    "wer_by_ratio": wer_by_ratio.draw,
    "wer_by_parameters": pareto.by_parameters,
    "wer_by_steptime": pareto.by_steptime,
    "change_by_init": change.by_init,
    "change_by_mapping": change.by_mapping,
    "wer_by_snr": snr.draw,
    "ranks_by_depth": ranks.draw,
    "spectra": spectra.spectra,
    "stable_ranks": spectra.stable_ranks,
    "loss_by_step": curves.loss,
    "valid_wer_by_step": curves.valid_wer,
    "steptime": steptime.draw,
}


def write(
    folder: Path,
    figures: Path,
    experiments: Sequence[Experiment],
    decoding: Decoding,
    records: Path,
    steptimes: Path,
    decoder: str | None = None,
) -> None:
    """Writes each of ``figure_names`` as PDF, PNG and SVG, with its caption as ``.rst`` beside it.

    Args:
        folder: of ``runs.csv`` and ``speakers.csv``.
        figures: where the files go; made if absent.
        experiments: the study's runs.
        decoding: decoders and conditions.
        records: folder of the runs' records.
        steptimes: folder of the step time measurements.
        decoder: whose hypotheses are scored; the last one of the configuration if None.

    Raises:
        ValueError: one line: a file is missing or malformed, has no rows, or does not know the decoder.
    """
    material = load(folder, experiments, decoding, records, steptimes, decoder)
    for name in figure_names(experiments, decoding):
        with style():
            drawn = DRAWINGS[name](material)
            save(drawn.figure, figures / name)
        write_atomically(figures / f"{name}.rst", f"{' '.join(drawn.caption)}\n".encode())
