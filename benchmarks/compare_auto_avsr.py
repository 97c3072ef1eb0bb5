"""How many training steps do we take in the time of one of Auto-AVSR's own, on the same random batch?

``python -m benchmarks.compare_auto_avsr PATH``: a clone of github.com/mpc001/auto_avsr, of its main branch (ASR) or at
tag v1.0.0 (ASR and AVSR, which needs ``six``). Its code is imported from there and runs as published: float32, padded
batches, AdamW, clipped gradients; on a GPU with convolutions in TF32, as PyTorch has them unless told. Both take their
steps in turns, in one process.
"""

import argparse
import importlib
import inspect
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from benchmarks.__main__ import publish
from benchmarks.figure import Figure
from lrsms.base.kernels import arithmetic, choose_kernels
from lrsms.base.yamlfile import read_yaml
from lrsms.cost.case import Row, compile_blocks, free, many_graphs, variant
from lrsms.cost.random_data import vocabulary
from lrsms.cost.steptime import TrainingStep, in_turns
from lrsms.data.batch import Batch, network_inputs
from lrsms.statistics.stats import median_ratio
from lrsms.study.expand import preset_run
from lrsms.study.run import Run

PACKAGE = "espnet.nets.pytorch_backend"
MODULES = {"asr": "e2e_asr_conformer", "avsr": "e2e_asr_conformer_av"}
BACKBONES = {"asr": "audio_backbone", "avsr": "audiovisual_backbone"}
FRAMES, SMALL_FRAMES = 1600, 100
AIM = "> 5"
CLIP = 10.0


class TheirStep:
    """A training step of a network of Auto-AVSR's on one batch, laid out as its own loader does."""

    def __init__(self, model: nn.Module, run: Run, batch: Batch, device: torch.device) -> None:
        self.model, self.device = model.to(device).train(), device
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), run.train.lr, run.train.betas, weight_decay=run.train.weight_decay
        )
        waves, video = network_inputs(batch, run.model, torch.device("cpu"))
        assert waves is not None
        samples = torch.full((len(waves),), waves.shape[1])
        self.inputs: tuple[Tensor, ...] = (waves[:, :, None], samples, batch.tokens)
        if video is not None:
            self.inputs = (video[:, :, None], waves[:, :, None], batch.lengths, samples, batch.tokens)

    def __call__(self) -> None:
        """Takes a step, convolutions in TF32 where a GPU has it: PyTorch's default, which their code leaves."""
        before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, True
        loss = self.model(*(x.to(self.device) for x in self.inputs))[0]
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()
        torch.backends.cudnn.allow_tf32 = before


def their_model(path: Path, task: str, size: int) -> nn.Module:
    """Auto-AVSR's network of a task, built by the code of a clone.

    Args:
        path: of the clone.
        task: asr or avsr.
        size: of the vocabulary.

    Raises:
        ValueError: one line: the folder is no clone, or one of a version that is not known here.
    """
    if not (path / PACKAGE.replace(".", "/")).is_dir():
        raise ValueError(f"{path}: is no clone of github.com/mpc001/auto_avsr; it has no folder espnet")
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))
    name = f"{PACKAGE}.{MODULES[task]}"
    try:
        network_class = importlib.import_module(name).E2E
        parameters = list(inspect.signature(network_class).parameters)
    except (ImportError, AttributeError) as error:
        lacks_package = isinstance(error, ImportError) and not (error.name or "").startswith("espnet")
        hint = "install what it needs" if lacks_package else "tag v1.0.0 has both, its main branch asr alone"
        raise ValueError(f"{path}: has no network for {task} ({error}); {hint}") from None
    if parameters[:2] == ["odim", "modality"]:
        return network_class(size, "audio")
    if parameters[:2] == ["odim", "args"]:
        settings = read_yaml(path / "configs" / "model" / BACKBONES[task] / "resnet_conformer.yaml")
        return network_class(size, argparse.Namespace(**settings))
    raise ValueError(f"{path}: E2E({', '.join(parameters)}) is of another version; known: the main branch, tag v1.0.0")


def compare(path: Path, task: str, frames: int, device: torch.device, seconds: float) -> list[Figure]:
    """Their step beside ours, one setting of ours after another, since each pair fills the memory."""
    preset = preset_run(f"paper-{task}")
    settings = [("float32", "eager")]
    if device.type == "cuda":
        settings = [("bfloat16", "eager"), ("bfloat16", "compiled"), ("float32", "eager")]
    figures = []
    for precision, mode in settings:
        run = variant(preset, Row(f"paper-{task}", frames, precision, mode, None))
        model = their_model(path, task, vocabulary(run))
        ours = TrainingStep(run, device)
        theirs = TheirStep(model, run, ours.batches[0], device)
        steps: list[Callable[[], object]] = [theirs, ours]
        with arithmetic(precision), many_graphs() if mode == "compiled" else nullcontext():
            if mode == "compiled":
                compile_blocks(ours.model)
            their_ms, our_ms = in_turns(steps, device, seconds)
        ratio, interval = median_ratio(their_ms, our_ms)
        details = {
            "interval": (interval.low, interval.high),
            "theirs_ms": their_ms,
            "ours_ms": our_ms,
            "theirs_parameters": sum(parameter.numel() for parameter in theirs.model.parameters()),
            "ours_parameters": sum(parameter.numel() for parameter in ours.model.parameters()),
        }
        name = f"paper-{task}, {frames} frames: our steps ({precision}, {mode}) in one of Auto-AVSR's (float32)"
        figures.append(Figure(name, ratio, "x", AIM if precision == "bfloat16" else "", details))
        figures.append(Figure(f"paper-{task}, {frames} frames: Auto-AVSR's step", median(their_ms), "ms"))
        del model, ours, theirs, steps
        free(device)
    return figures


def main(arguments: list[str] | None = None) -> None:
    """Compares, prints and writes ``results/bench/compare_auto_avsr-<device>.json``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare_auto_avsr", description=__doc__)
    parser.add_argument("path", type=Path, help="a clone of github.com/mpc001/auto_avsr")
    parser.add_argument("--tasks", nargs="+", choices=tuple(MODULES), default=list(MODULES))
    parser.add_argument("--frames", type=int, help=f"of the batch ({FRAMES}), a multiple of 100")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=2, help="processor threads")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each pair")
    parser.add_argument("--small", action="store_true", help=f"{SMALL_FRAMES} frames, to see that it works: no result")
    parser.add_argument("--output", type=Path, default=Path("results/bench"), help="folder to write")
    options = parser.parse_args(arguments)
    choose_kernels()
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    frames = options.frames or (SMALL_FRAMES if options.small else FRAMES)
    question = (__doc__ or "").splitlines()[0]
    figures: list[Figure] = []
    try:
        for task in options.tasks:
            figures += compare(options.path.resolve(), task, frames, device, options.seconds)
    except ValueError as error:
        sys.exit(f"error: {error}")
    publish(options.output, "compare_auto_avsr", question, figures, device, options.small)


if __name__ == "__main__":
    main()
