"""Makes a start of weights: of a checkpoint of others, of a run of this program, or of what ``export`` wrote."""

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from lrsms.base.files import file_hash, read_json, refuse_existing, whole_folder, write_json
from lrsms.base.strict import parse
from lrsms.data.corpora.auto_avsr import read_units
from lrsms.data.listed_units import ListedUnits
from lrsms.data.text import Tokenizer, load_tokenizer
from lrsms.methods.build import build_structure
from lrsms.methods.factorize import merge
from lrsms.record.run_files import CONFIG, OUTCOME, WEIGHTS
from lrsms.record.start import START, About, Source, Start, Tokens
from lrsms.study.run import MODALITIES, Model, Run, Task
from lrsms.training.start import refuse_misfits
from lrsms.use.auto_avsr import mapped
from lrsms.use.trained import load as load_run

_LIGHTNING = "model."
"""What PyTorch Lightning's module puts before the names of the network that it trains."""


@dataclass(frozen=True)
class _Found:
    """Dense weights, of a network that is known, with where they come from."""

    weights: Mapping[str, Tensor]
    model: Model
    vocabulary: int
    tokenizer: Tokenizer | None
    source: Source


def write_start(
    checkpoint: Path, folder: Path, task: Task | None, tokenizer: tuple[Path, Path] | None, corpora: Path
) -> Start:
    """Writes the folder of a start, whole or not at all.

    Args:
        checkpoint: a file of Auto-AVSR, or the folder of a run or of an export.
        folder: to be made.
        task: of the network; of a run or an export it may be left out.
        tokenizer: for a file, SentencePiece's model and the list of units that it was trained with; None: unknown.
        corpora: folder of prepared corpora, where the tokenizer of a run lies.

    Raises:
        ValueError: one line: there is no such checkpoint, it holds more than weights, a tensor is missing, unknown, not
            finite or of another shape, the tokenizer has another size, or the folder is there already.
    """
    refuse_existing(folder)
    if checkpoint.is_dir():
        found = _of_folder(checkpoint, task, tokenizer, corpora)
    else:
        found = _of_file(checkpoint, task, tokenizer)
    size = found.vocabulary
    if found.tokenizer is not None and found.tokenizer.size != size:
        raise ValueError(
            f"{checkpoint}: knows {size - 2} units, but the tokenizer has {found.tokenizer.size - 2}; give the one that"
            " it was trained with"
        )
    with whole_folder(folder) as part:
        (part / WEIGHTS).write_bytes(save(dict(sorted(found.weights.items())), metadata={"format": "pt"}))
        known = None
        if found.tokenizer is not None:
            found.tokenizer.save(part)
            known = Tokens(file=found.tokenizer.FILE, sha256=file_hash(part / found.tokenizer.FILE))
        about = About(
            task=next(task for task, parts in MODALITIES.items() if parts == found.model.modalities),
            model=found.model,
            vocabulary=size,
            parameters=sum(weight.numel() for weight in _parameters(found)),
            weights_hash=file_hash(part / WEIGHTS),
            tokenizer=known,
            source=found.source,
        )
        write_json(part / START, about.model_dump(mode="json", exclude_none=True))
    return Start.read(folder)


def _parameters(found: _Found) -> list[Tensor]:
    """The weights without the statistics of norms."""
    return [tensor for name, tensor in found.weights.items() if not name.rpartition(".")[2].startswith("running_")]


def _of_file(path: Path, task: Task | None, tokenizer: tuple[Path, Path] | None) -> _Found:
    """The network of a checkpoint of Auto-AVSR."""
    if task is None:
        raise ValueError(f"{path}: say what it is of: --task {', '.join(MODALITIES)}")
    theirs = _state_dict(path)
    found = mapped(theirs, task, str(path))
    refuse_misfits(found.weights, found.model, found.vocabulary, f"{path}: as a network of task '{task}'", found.called)
    source = Source(kind="Auto-AVSR", name=path.name, sha256=file_hash(path), tensors=len(theirs))
    return _Found(found.weights, found.model, found.vocabulary, _listed(tokenizer), source)


def _state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that PyTorch wrote. Nothing but tensors is read, and no code in it is run."""
    if not path.is_file():
        raise ValueError(f"{path}: is not there; give a .pth file of Auto-AVSR, or the folder of a run or an export")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the format of old files
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError) as error:
        reason = " ".join(str(error).split())
        if isinstance(error, pickle.UnpicklingError) and "unsupported global" in reason.lower():
            raise ValueError(
                f"{path}: holds more than weights, which could be code; nothing of it was run. Save its tensors alone:"
                " torch.save(network.state_dict(), FILE)"
            ) from None
        if isinstance(error, pickle.UnpicklingError):  # PyTorch goes on to say how to run what is in it
            reason = "not what torch.save writes"
        raise ValueError(f"{path}: cannot be read as a checkpoint of PyTorch ({reason[:200]})") from None
    if isinstance(content, dict) and isinstance(inner := content.get("state_dict"), dict):  # of PyTorch Lightning
        content = {str(key).removeprefix(_LIGHTNING): value for key, value in inner.items()}
    if not isinstance(content, dict) or not content or not all(isinstance(key, str) for key in content):
        raise ValueError(f"{path}: holds no weights by name; give the state dict of a network")
    for key, value in content.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"{path}: key '{key}' is no tensor; give the state dict of a network")
    return content


def _listed(paths: tuple[Path, Path] | None) -> Tokenizer | None:
    """The tokenizer of SentencePiece's model and a list of units."""
    if paths is None:
        return None
    model, listing = paths
    if not model.is_file():
        raise ValueError(f"--tokenizer: {model} is not there; give SentencePiece's model and the list of units")
    units = list(read_units(listing).values())
    try:
        return ListedUnits(units, model.read_bytes())
    except RuntimeError as error:
        raise ValueError(f"{model}: is not SentencePiece's model ({' '.join(str(error).split())})") from None


def _of_folder(folder: Path, task: Task | None, tokenizer: tuple[Path, Path] | None, corpora: Path) -> _Found:
    """The network of a run, or of an export; factors are multiplied out."""
    if tokenizer is not None:
        raise ValueError(f"{folder}: has a tokenizer of its own; leave --tokenizer out")
    if not (folder / CONFIG).is_file():
        raise ValueError(f"{folder}: is neither the folder of a run nor an export (no {CONFIG} in it)")
    run = parse(Run, read_json(folder / CONFIG, "export the run again"), str(folder / CONFIG))
    if task is not None and task != run.task:
        raise ValueError(f"{folder}: is of task '{run.task}'; leave --task out")
    if (folder / OUTCOME).is_file():
        trained = load_run(folder, corpora, torch.device("cpu"))
        network: torch.nn.Module = trained.model
        known = trained.tokenizer
    else:
        known = load_tokenizer(folder)
        network = _exported(run, folder / WEIGHTS, known.size)
    try:
        merge(network)
    except ValueError as error:
        raise ValueError(f"{folder}: {str(error).partition(';')[0]}; no dense network begins from it") from None
    weights = {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}
    refuse_misfits(weights, run.model, known.size, str(folder / WEIGHTS))
    kind = "run" if run.lowrank is None else "factors of a run, multiplied out"
    source = Source(kind=kind, name=folder.resolve().name, sha256=file_hash(folder / WEIGHTS))
    return _Found(weights, run.model, known.size, known, source)


def _exported(run: Run, path: Path, size: int) -> torch.nn.Module:
    """The network of an export, whose factors may be multiplied out already."""
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: cannot be read ({' '.join(str(error).split())}); export the run again") from None
    factored = any(name.endswith((".u", ".vt")) for name in weights)
    network, _ = build_structure(run if factored else run.model_copy(update={"lowrank": None}), size)
    network.to_empty(device="cpu")
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: does not fit {CONFIG} beside it ({reason}); export the run again") from None
    return network
