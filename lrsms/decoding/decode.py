"""Decodes a trained run with every decoder under every test condition: one row for each utterance."""

import itertools
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file

from lrsms.base.devices import device_name
from lrsms.base.files import write_json
from lrsms.data.apart import refuse_shared_prepared
from lrsms.data.identity import difference, warn_of_unknown_pieces
from lrsms.data.prepared import Prepared
from lrsms.decoding.earlier import Earlier, note, take
from lrsms.decoding.passes import Passes, chosen
from lrsms.methods.build import build_structure
from lrsms.models.recognizer import Recognizer
from lrsms.record import hypotheses
from lrsms.record.bonus import write_choices
from lrsms.record.decoding_times import times_path
from lrsms.record.losses import write_losses
from lrsms.record.record import load_outcome
from lrsms.record.resumed import refuse_wrongly_resumed
from lrsms.record.run_files import WEIGHTS, check_weights, run_title
from lrsms.record.tested import ScoredOn, write_tests
from lrsms.study.decoding import Decoding
from lrsms.study.run import Run


def load_trained(run: Run, folder: Path, size: int, device: torch.device) -> Recognizer:
    """The trained network of a run, in eval mode.

    Raises:
        ValueError: its weights are missing or damaged, belong to another network, or were changed after training.
    """
    outcome = load_outcome(folder)
    model, _ = build_structure(run, size)
    path = folder / WEIGHTS
    if path.is_file():
        check_weights(folder, outcome)
    try:
        weights = load_file(path, device=str(device))
        model.to_empty(device=device)
        model.load_state_dict(weights)
    except Exception as error:  # safetensors and load_state_dict raise errors of many types
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: cannot be loaded ({reason}); delete {folder / 'run.json'} and run again") from None
    return model.eval()


def decode(
    run: Run,
    prepared: Prepared,
    folder: Path,
    output: Path,
    decoding: Decoding,
    device: torch.device,
    tests: Mapping[str, Prepared] | None = None,
) -> None:
    """Writes JSON lines of decoder, condition, id, speaker, reference and hypothesis; none for a diverged run.

    Beside them it writes the losses of all utterances (see `lrsms.record.losses`), how long decoding took (see
    `lrsms.record.decoding_times`) and which test sets of their own conditions have (see `lrsms.record.tested`). Where a
    decoder has a list of length bonuses, it first chooses one on the valid split, and writes which (see
    `lrsms.record.bonus`).

    A condition that the run was decoded under before, by the same decoders, is not decoded again (see
    `lrsms.decoding.earlier`). Decoding uses float32 without TF32, whatever training used.

    Args:
        run: the run.
        prepared: its corpus.
        folder: of the run.
        output: the file to write.
        decoding: decoders and conditions.
        device: where it is decoded.
        tests: the prepared test sets of conditions that name a corpus, by its name, with ``prepared`` as their lender.

    Raises:
        ValueError: the run has not ended, was resumed wrongly, or was trained on another corpus; its weights are not
            those that training wrote; or a test set shares speakers, sentences or recordings with the training.
    """
    outcome = load_outcome(folder)
    refuse_wrongly_resumed(run, outcome, folder, "delete it to train again")
    if other := difference(outcome, prepared.identity, by_manifest=True):
        raise ValueError(
            f"{folder}: was trained {other} than {prepared.folder} holds now; bring back the corpus as it was, or move "
            "the run's folder elsewhere to train anew"
        )
    warn_of_unknown_pieces(folder, outcome, prepared)
    for name, corpus in (decoding.corpora or {}).items():
        refuse_shared_prepared(run.corpus, prepared, corpus, (tests or {})[name])
    sets = {name: (tests or {})[one.corpus] if one.corpus else prepared for name, one in decoding.conditions.items()}
    tested = {name: _tested(one.corpus, sets[name]) for name, one in decoding.conditions.items() if one.corpus}
    about = {"device": device_name(device), "threads": torch.get_num_threads()}
    work, kept = Passes(run, sets, device), Earlier()
    decoders = decoding.decoders
    if outcome["status"] == "finished":
        kept = take(folder, output, outcome, decoding, tested, about)
        missing = {name: one for name, one in decoding.conditions.items() if name not in kept.conditions}
        if missing:
            model = load_trained(run, folder, prepared.tokenizer.size, device)
            kept.choices = work.decode(model, decoders, missing, kept.choices, run_title(folder))
        decoders = chosen(decoders, kept.choices)
    order = {pair: n for n, pair in enumerate(itertools.product(decoders, decoding.conditions))}
    rows = sorted([*kept.rows, *work.rows(decoders)], key=lambda row: order[row["decoder"], row["condition"]])
    times = kept.times | work.times(decoders)
    write_json(times_path(output), about | {"conditions": {name: times[name] for name in sets if name in times}})
    write_choices(output, kept.choices)
    write_losses(output, [*kept.losses, *work.losses])
    write_tests(output, tested)
    note(output, decoding)
    hypotheses.write(output, rows, folder)


def _tested(corpus: str, tests: Prepared) -> ScoredOn:
    """The note on a test set that hypotheses keep."""
    identity = tests.identity
    hashes = {key: str(identity[key]) for key in ("source_hash", "data_hash", "streams_hash")}
    return ScoredOn(corpus, **hashes, utterances=len(tests.items("test")), left_out=tests.left_out)
