"""The weights that a run begins from, where it does not begin from random ones."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lrsms.data.prepared import Prepared
from lrsms.data.text import load_tokenizer, units_of
from lrsms.models.recognizer import Recognizer
from lrsms.record.start import Start, check_content, find
from lrsms.study.run import Model, Run


def starting_weights(run: Run, prepared: Prepared, starts: Path) -> tuple[Start, dict[str, Tensor]]:
    """The dense weights that ``init_from`` names, once they are found to fit the run and its corpus.

    Raises:
        ValueError: one line that names the file and the key: there are none, they were changed since they were
            imported, or they are of another network or another tokenizer.
    """
    assert run.init_from is not None
    start = find(run.init_from, starts)
    start.refuse_unfit(run)
    _refuse_other_tokens(start, prepared)
    check_content(start)
    try:
        weights = load_file(start.weights)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{start.weights}: cannot be read ({error}); import into {start.folder} again") from None
    refuse_misfits(weights, run.model, prepared.tokenizer.size, str(start.weights))
    return start, weights


def refuse_misfits(
    weights: Mapping[str, Tensor], model: Model, size: int, where: str, called: Mapping[str, str] | None = None
) -> None:
    """Refuses weights that are not, by names, shapes and values, those of a dense network.

    Args:
        weights: by the names of its state dict.
        model: dimensions of the network.
        size: vocabulary size V.
        where: what errors begin with.
        called: what errors call a tensor; None: as the network does.

    Raises:
        ValueError: one line that names the tensor.
    """
    with torch.device("meta"):
        expected = Recognizer(model, size).state_dict()
    names = {name: name for name in expected} | dict(called or {})
    other = "these are weights of another network"
    if missing := [name for name in expected if name not in weights]:
        raise ValueError(f"{where}: '{missing[0]}' is missing; {other}")
    if unknown := [name for name in weights if name not in expected]:
        raise ValueError(f"{where}: '{names.get(unknown[0], unknown[0])}' is no part of it; {other}")
    for name, tensor in expected.items():
        found, called_so = weights[name], names[name]
        if found.shape != tensor.shape:
            raise ValueError(f"{where}: '{called_so}' is {_shape(found)}, the network's is {_shape(tensor)}; {other}")
        if not found.isfinite().all():
            raise ValueError(f"{where}: '{called_so}' has values that are not finite; nothing can be trained from it")


def _refuse_other_tokens(start: Start, prepared: Prepared) -> None:
    """Each token must spell the same: a network that was trained to write other units would write nonsense."""
    if start.about.vocabulary != prepared.tokenizer.size:
        raise ValueError(
            f"{start.weights}: its network knows {start.units} units, but the tokenizer of {prepared.folder} "
            f"has {prepared.tokenizer.size - 2}; {start.asked_tokenizer()}"
        )
    if start.about.tokenizer is None:
        return
    theirs, ours = units_of(load_tokenizer(start.folder)), units_of(prepared.tokenizer)
    for token, (there, here) in enumerate(zip(theirs, ours, strict=True), start=1):
        if there != here:
            raise ValueError(
                f"{start.folder / start.about.tokenizer.file}: its token {token} spells '{there}', but that of "
                f"{prepared.folder} spells '{here}'; {start.asked_tokenizer()}"
            )


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"
