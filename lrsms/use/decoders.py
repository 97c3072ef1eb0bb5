"""Chooses the decoder of a run: one of the project's, with the length bonus that validation chose for the run."""

from pathlib import Path

from lrsms.record.bonus import load_choices
from lrsms.study.decoding import Decoder
from lrsms.study.project import Project
from lrsms.study.run import Run


def chosen_decoder(project: Project, run: Run, folder: Path, name: str, length_bonus: float | None) -> Decoder:
    """The decoder called ``name``, as the project has it for the run's scale and task.

    Args:
        project: whose decoders are meant.
        run: that is used.
        folder: of the run, where ``decode`` left which length bonus it chose.
        name: of the decoder.
        length_bonus: instead of the decoder's; None: its own, or of a list the one that was chosen.

    Raises:
        ValueError: one line: there is no such decoder, it needs an attention decoder that the run has not, or of its
            length bonuses none was chosen yet.
    """
    decoding = project.model_copy(update={"scale": run.scale, "task": run.task}).decoding
    if name not in decoding.decoders:
        known = ", ".join(decoding.decoders)
        raise ValueError(f"--decoder {name}: the project has no such decoder for scale '{run.scale}'; known: {known}")
    decoder = decoding.decoders[name]
    if length_bonus is not None:
        if decoder.kind != "beam":
            raise ValueError(f"--length-bonus: is for kind 'beam', and decoder '{name}' is of kind '{decoder.kind}'")
        decoder = decoder.at(length_bonus)
    if decoder.kind == "beam" and decoder.ctc_weight != 1 and not run.model.decoder_layers:
        raise ValueError(f"--decoder {name}: needs an attention decoder, which this run has not; take another")
    if not decoder.grid:
        return decoder
    path = folder / decoding.hypotheses
    try:
        return decoder.at(load_choices(path, decoding)[name].chosen)
    except ValueError as error:
        values = ", ".join(f"{value:g}" for value in decoder.grid)
        raise ValueError(
            f"--decoder {name}: has the length bonuses {values}, and none was chosen for this run ({error}); give one "
            "with --length-bonus"
        ) from None
