"""Finds errors before any job runs: it checks a study against its networks, its decoders and its corpus."""

from collections.abc import Sequence
from pathlib import Path

import torch

from lrsms.base.files import read_json
from lrsms.base.strict import canonical_json
from lrsms.cost.random_data import vocabulary
from lrsms.data import corpora
from lrsms.data.apart import listed, refuse_shared
from lrsms.data.audio import log_mel
from lrsms.data.prepare import listing
from lrsms.data.prepared import SUMMARY
from lrsms.data.text import given_tokenizer
from lrsms.data.transcripts import checked, refuse_without_blanks
from lrsms.methods.plan import make_plan
from lrsms.models.recognizer import Recognizer
from lrsms.record.start import find
from lrsms.study.corpus import Corpus
from lrsms.study.decoding import Decoding
from lrsms.study.expand import Experiment
from lrsms.study.frames import SAMPLES_PER_FRAME
from lrsms.study.run import Run


def check_runs(experiments: Sequence[Experiment], decoding: Decoding) -> None:
    """Makes each distinct plan once on the meta device, and checks that the decoders fit its network.

    Raises:
        ValueError: a target matches nothing, a rank leaves [1, full], a mel band is empty, or a decoder needs an
            attention decoder that the model does not have; the line names the run.
    """
    models: dict[str, Recognizer] = {}
    plans: set[tuple[str, str]] = set()
    for experiment in experiments:
        run = experiment.run
        try:
            structure = canonical_json({"model": run.model, "tokenizer": run.tokenizer})
            if structure not in models:
                models[structure] = _dense_structure(run)
                _check_decoders(run, decoding)
            lowrank = canonical_json({"lowrank": run.lowrank})
            if (structure, lowrank) not in plans:
                make_plan(models[structure], run.lowrank)
                plans.add((structure, lowrank))
        except ValueError as error:
            raise ValueError(f"run '{experiment.cell}': {error}") from None


def check_starts(experiments: Sequence[Experiment], starts: Path, corpora_folder: Path) -> None:
    """Looks for the weights that runs begin from, and for the tokenizers beside them; contents are read at training.

    Args:
        experiments: runs that are still to be trained.
        starts: folders with imported weights.
        corpora_folder: prepared corpora, which need their tokenizer's source no more.

    Raises:
        ValueError: one line that names the run: something is missing, or does not fit.
    """
    asking = [e for e in experiments if e.run.init_from is not None or e.run.tokenizer.sha256 is not None]
    for run, cell in {e.cell: (e.run, e.cell) for e in asking}.values():
        try:
            if run.init_from is not None:
                find(run.init_from, starts).refuse_unfit(run)
            if not (corpora_folder / run.prepared / SUMMARY).is_file():
                given_tokenizer(run.tokenizer, starts)
        except ValueError as error:
            raise ValueError(f"run '{cell}': {error}") from None


def check_corpus(corpus: Corpus, root: Path | None, prepared: Path, tests: bool = False) -> None:
    """Reads what describes a corpus, not its audio.

    Args:
        corpus: the corpus.
        root: where a real one lies; need not be given once it is prepared, nor be there once it was copied.
        prepared: folder that it is prepared in, or will be.
        tests: whether only its test split is prepared.

    Raises:
        ValueError: one line: the corpus cannot be rendered as configured, its root, lists or transcripts are wrong, or
            they have changed since it was prepared.
    """
    summary = prepared / SUMMARY
    if not summary.is_file():
        utterances = (corpora.tests if tests else corpora.utterances)(corpus, root, Path())  # refuses at the call
        if not corpus.rendered:  # of what is, all would now be rendered; of others no recording is opened
            refuse_without_blanks([utterance.text for utterance in checked(utterances)], corpus)
        return
    if root is None or (not corpus.in_place and not root.is_dir()):
        return
    if listing(corpus, root, tests) != read_json(summary, f"delete {prepared}").get("listing"):
        raise ValueError(
            f"{root}: lists other utterances or transcripts than {prepared} was prepared from; undo the change, or "
            f"delete {prepared} to prepare the corpus as it is now"
        )


def check_apart(trained: Corpus, root: Path | None, tested: Corpus, tests_root: Path | None) -> None:
    """Refuses a test set that shares voices, sentences or recordings with training, as far as lists tell.

    Nothing is looked at of a recorded corpus whose folder is not there; decoding compares what was prepared.

    Args:
        trained: the corpus of the runs.
        root: where it lies.
        tested: the corpus of a condition.
        tests_root: where that lies.

    Raises:
        ValueError: one line that names what is shared.
    """
    places = (trained, root), (tested, tests_root)
    if all(corpus.rendered or (place is not None and place.is_dir()) for corpus, place in places):
        refuse_shared(trained, listed(trained, root), tested, listed(tested, tests_root))


def _dense_structure(run: Run) -> Recognizer:
    """The dense network on the meta device; for characters, a vocabulary of the usual size is assumed."""
    if run.model.mels is not None:
        log_mel(torch.zeros(1, SAMPLES_PER_FRAME), torch.ones(1, dtype=torch.long), run.model.mels)
    with torch.device("meta"):
        return Recognizer(run.model, vocabulary(run))


def _check_decoders(run: Run, decoding: Decoding) -> None:
    for name, decoder in decoding.decoders.items():
        if decoder.ctc_weight is not None and decoder.ctc_weight < 1 and run.model.decoder_layers == 0:
            raise ValueError(
                f"'decoders.{name}.ctc_weight' is {decoder.ctc_weight:g}, but 'model.decoder_layers' is 0; use 1"
            )
