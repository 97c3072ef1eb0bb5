"""Draws the figures of a study and writes them, each with its caption."""

from collections.abc import Callable
from pathlib import Path

from lrsms.base.files import write_atomically
from lrsms.report.figures import by_ratio, change, curves, pareto, ranks, snr, spectra, steptime, survival
from lrsms.report.figures.material import Drawn, Material
from lrsms.report.figures.style import save, style

DRAWINGS: dict[str, Callable[[Material], Drawn]] = {
    "wer_by_ratio": by_ratio.wer,
    "loss_by_ratio": by_ratio.loss,
    "wer_by_parameters": pareto.by_parameters,
    "wer_by_steptime": pareto.by_steptime,
    "wer_by_cost": pareto.by_cost,
    "change_by_init": change.by_init,
    "change_by_mapping": change.by_mapping,
    "wer_by_snr": snr.draw,
    "ranks_by_depth": ranks.draw,
    "spectra": spectra.spectra,
    "stable_ranks": spectra.stable_ranks,
    "loss_by_step": curves.loss,
    "valid_wer_by_step": curves.valid_wer,
    "time_to_learn": survival.draw,
    "steptime": steptime.draw,
}


def write(material: Material, folder: Path) -> None:
    """Writes each of a study's figures as PDF, PNG and SVG, with its caption as ``.rst`` beside it.

    Args:
        material: the data to draw.
        folder: folder for the files; made if absent.

    Raises:
        ValueError: one line: a file of a record is malformed.
    """
    for name in material.names:
        with style():
            drawn = DRAWINGS[name](material)
            save(drawn.figure, folder / name)
        write_atomically(folder / f"{name}.rst", f"{' '.join(drawn.caption)}\n".encode())
