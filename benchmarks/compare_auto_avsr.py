"""How many training steps do we take in the time of one of Auto-AVSR's own, on the same random batch?

Run it as ``python -m benchmarks.compare_auto_avsr PATH``. PATH is a clone of github.com/mpc001/auto_avsr, at its main
branch (ASR) or at tag v1.0.0 (ASR and AVSR, which needs ``six``). Its code is imported from there and runs as
published: float32, padded batches, AdamW, clipped gradients. On a GPU, its convolutions use TF32, which is PyTorch's
default. It is timed a second time in the precision of our step. Both take their steps in turns, in one process.
"""

import argparse
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.__main__ import publish
from benchmarks.figure import Figure
from lrsms.base.devices import free
from lrsms.base.kernels import arithmetic, choose_kernels
from lrsms.base.yamlfile import read_yaml
from lrsms.cost.case import Row, variant
from lrsms.cost.random_data import vocabulary
from lrsms.cost.steptime import TrainingStep, in_turns
from lrsms.data.batch import Batch, network_inputs
from lrsms.statistics.stats import median_ratio
from lrsms.study.expand import preset_run
from lrsms.study.run import Run

PACKAGE = "espnet.nets.pytorch_backend"
MODULES = {"asr": "e2e_asr_conformer", "vsr": "e2e_asr_conformer", "avsr": "e2e_asr_conformer_av"}
MODALITIES = {"asr": "audio", "vsr": "video"}
BACKBONES = {"asr": "audio_backbone", "vsr": "visual_backbone", "avsr": "audiovisual_backbone"}
TIMED = ("asr", "avsr")
FRAMES, SMALL_FRAMES = 1600, 100
AIM = "> 5"
CLIP = 10.0


class Setting(NamedTuple):
    """The precision of their step, the precision of our step, and our mode."""

    theirs: str
    ours: str
    mode: str


ON_CPU = (Setting("float32", "float32", "eager"),)
ON_GPU = (
    Setting("default", "default", "eager"),
    Setting("bfloat16", "bfloat16", "eager"),
    Setting("default", "bfloat16", "graphs"),
    Setting("default", "default", "graphs"),
    Setting("bfloat16", "bfloat16", "graphs"),
)
"""The settings; the most important come first. The aim compares their published step, in default precision, with our
best step."""


class TheirStep:
    """A training step of an Auto-AVSR network on one batch, in the layout of its own loader."""

    def __init__(self, model: nn.Module, run: Run, batch: Batch, device: torch.device) -> None:
        self.model, self.device = model.to(device).train(), device
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), run.train.lr, run.train.betas, weight_decay=run.train.weight_decay
        )
        waves, video = network_inputs(batch, run.model, torch.device("cpu"))
        assert waves is not None
        samples = torch.full((len(waves),), waves.shape[1])
        self.precision = "float32"
        self.inputs: tuple[Tensor, ...] = (waves[:, :, None], samples, batch.tokens)
        if video is not None:
            self.inputs = (video[:, :, None], waves[:, :, None], batch.lengths, samples, batch.tokens)

    def __call__(self) -> None:
        """Takes a step. On a GPU, convolutions use TF32, PyTorch's default, which their code does not change."""
        before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, True
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            loss = self.model(*(x.to(self.device) for x in self.inputs))[0]
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()
        torch.backends.cudnn.allow_tf32 = before


def their_model(path: Path, task: str, size: int) -> nn.Module:
    """Auto-AVSR's network of a task, built by the code of a clone.

    Args:
        path: folder of the clone.
        task: asr, vsr or avsr.
        size: vocabulary size.

    Raises:
        ValueError: one line: the folder is not a clone, or its version is not known here.
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
        hint = "install what it needs" if lacks_package else "tag v1.0.0 has both, its main branch has no avsr"
        raise ValueError(f"{path}: has no network for {task} ({error}); {hint}") from None
    if parameters[:2] == ["odim", "modality"]:
        return network_class(size, MODALITIES[task])
    if parameters[:2] == ["odim", "args"]:
        settings = read_yaml(path / "configs" / "model" / BACKBONES[task] / "resnet_conformer.yaml")
        return network_class(size, argparse.Namespace(**settings))
    raise ValueError(f"{path}: E2E({', '.join(parameters)}) is of another version; known: the main branch, tag v1.0.0")


def compare(path: Path, task: str, frames: int, device: torch.device, seconds: float) -> Iterator[Figure]:
    """Times their step and ours, one setting after another. Their network is made once, since that takes long."""
    preset = preset_run(f"paper-{task}")
    settings = ON_GPU if device.type == "cuda" else ON_CPU
    theirs: TheirStep | None = None
    for setting in settings:
        run = variant(preset, Row(f"paper-{task}", frames, setting.ours, setting.mode, None))
        ours = TrainingStep(run, device, graphs=setting.mode == "graphs")
        if theirs is None:
            theirs = TheirStep(their_model(path, task, vocabulary(run)), run, ours.batches[0], device)
        theirs.precision = setting.theirs
        name = f"paper-{task}, {frames} frames: our steps ({setting.ours}, {setting.mode}) in one of Auto-AVSR's"
        aim = AIM if setting == ON_GPU[2] else ""
        yield from _in_turns(f"{name} ({setting.theirs})", aim, theirs, ours, setting, seconds)
        del ours
        free(device)


def _in_turns(
    name: str, aim: str, theirs: TheirStep, ours: TrainingStep, setting: Setting, seconds: float
) -> list[Figure]:
    device = ours.device
    steps: list[Callable[[], object]] = [theirs, ours]
    try:
        with arithmetic(setting.ours):
            their_ms, our_ms = in_turns(steps, device, seconds)
    except (RuntimeError, TypeError) as error:  # their code is not written for autocast
        return [Figure(name, None, "x", aim, {"why_not": str(error).strip().splitlines()[0]})]
    ratio, interval = median_ratio(their_ms, our_ms)
    details = {
        "interval": (interval.low, interval.high),
        "theirs_ms": their_ms,
        "ours_ms": our_ms,
        "theirs_parameters": sum(parameter.numel() for parameter in theirs.model.parameters()),
        "ours_parameters": sum(parameter.numel() for parameter in ours.model.parameters()),
    }
    return [Figure(name, ratio, "x", aim, details), Figure(f"{name}: Auto-AVSR's step", median(their_ms), "ms")]


def main(arguments: list[str] | None = None) -> None:
    """Compares, prints and writes ``results/bench/compare_auto_avsr-<device>.json``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare_auto_avsr", description=__doc__)
    parser.add_argument("path", type=Path, help="a clone of github.com/mpc001/auto_avsr")
    parser.add_argument("--tasks", nargs="+", choices=TIMED, default=list(TIMED))
    parser.add_argument("--frames", type=int, help=f"frames of the batch ({FRAMES}), a multiple of 100")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=2, help="processor threads")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each pair")
    parser.add_argument(
        "--small", action="store_true", help=f"{SMALL_FRAMES} frames, only to see that it works; no result"
    )
    parser.add_argument("--output", type=Path, default=Path("results/bench"), help="folder to write")
    options = parser.parse_args(arguments)
    choose_kernels()
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    frames = options.frames or (SMALL_FRAMES if options.small else FRAMES)
    question = (__doc__ or "").splitlines()[0]
    path, seconds = options.path.resolve(), options.seconds
    figures = (figure for task in options.tasks for figure in compare(path, task, frames, device, seconds))
    try:
        publish(options.output, "compare_auto_avsr", question, figures, device, options.small)
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
