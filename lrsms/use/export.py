"""A trained run as a folder that others can use: weights, graph, tokens, a loader and a page; whole or absent."""

import shutil
import warnings
from pathlib import Path

import torch
from safetensors.torch import save

from lrsms.base.files import read_json, whole_folder, write_json
from lrsms.data.text import Tokenizer
from lrsms.methods.factorize import merge
from lrsms.record.run_files import CONFIG, PLAN
from lrsms.study.decoding import Decoding
from lrsms.use import card, loader
from lrsms.use.graph import Network, trace, weights_of
from lrsms.use.trained import Trained


def export(trained: Trained, folder: Path, record: Path, decoding: Decoding, merged: bool, onnx: bool) -> None:
    """Writes the folder.

    Args:
        trained: the run, on the CPU. Its network is changed: merged where that is asked for, made a graph.
        folder: to be made.
        record: of the run, for the error rates; it may be absent.
        decoding: whose score table is meant.
        merged: multiply factors out, to dense matrices.
        onnx: write ``network.onnx`` too.

    Raises:
        ValueError: one line: the folder is there already, the record says what cannot be, ONNX is asked for and its
            packages are missing, or cannot express the network.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: is there already; give the name of a new folder, or delete it")
    if onnx:
        _require_onnx()
    measured = card.rates(record, trained.run, decoding)
    plan = read_json(trained.folder / PLAN, "run it again")
    if merged:
        merge(trained.model)
    with whole_folder(folder) as part:
        weights = weights_of(trained.model)
        (part / "weights.safetensors").write_bytes(save(weights, metadata={"format": "pt"}))
        network = Network(trained.model, trained.run.model).eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PyTorch's own parts
            torch.export.save(trace(network, weights), part / "network.pt2")
        if onnx:
            _write_onnx(network, part / "network.onnx")
        write_json(part / "tokens.json", {"tokens": spelt(trained.tokenizer)})
        trained.tokenizer.save(part)
        shutil.copyfile(trained.folder / CONFIG, part / CONFIG)
        shutil.copyfile(Path(loader.__file__), part / "load.py")
        parameters = plan["parameters"], plan["parameters_dense"]
        page = card.write(trained.run, trained.folder.resolve().name, parameters, merged, measured, onnx)
        (part / "README.md").write_text(page, encoding="utf-8")


def spelt(tokenizer: Tokenizer) -> list[str]:
    """What each of the V tokens spells behind others, with the blank that begins a word; blank and end spell nothing.

    A token before it tells whether it begins a word: at the beginning, a piece is spelt without its blank.
    """
    tokens = range(1, tokenizer.size - 1)
    before = next(token for token in tokens if tokenizer.decode([token]).strip())
    length = len(tokenizer.decode([before]))
    return ["", *(tokenizer.decode([before, token])[length:] for token in tokens), ""]


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ValueError(f"--onnx: needs the package {error.name}; install it with pip install 'lrsms[onnx]'") from None


@torch.no_grad()
def _write_onnx(network: Network, path: Path) -> None:
    """Encoder and CTC head with their weights, from samples and pictures, of any length."""
    inputs, lengths = network.example()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (inputs, lengths),
                dynamo=True,
                dynamic_shapes=network.shapes(),
                verbose=False,
                output_names=["log_probs"],
            )
        assert program is not None
        program.save(str(path))
    except Exception as error:  # the exporter raises what it likes
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"--onnx: PyTorch cannot express this network in ONNX ({reason}); export without") from None
