"""Does an imported network compute what Auto-AVSR's own code computes?

``python -m benchmarks.compare_auto_avsr_import PATH``: a clone of github.com/mpc001/auto_avsr, of its main branch (ASR,
VSR) or at tag v1.0.0 (ASR, VSR, AVSR; it needs ``six``). Its networks are built by its code at full size, with random
weights and statistics of norms, and imported from a file. Both compute one utterance in float64.
"""

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmarks.__main__ import publish
from benchmarks.compare_auto_avsr import MODULES, PACKAGE, their_model
from benchmarks.figure import Figure
from lrsms.models.recognizer import Recognizer
from lrsms.study.frames import CROP, SAMPLES_PER_FRAME
from lrsms.study.run import MODALITIES, Task
from lrsms.use.start import write_start

CPU = torch.device("cpu")
AIM = "< 1e-10"
SIZE = 50
"""Vocabulary: its size changes nothing but time."""
FRAMES = 12
TOKENS = (SIZE - 1, 3, 7, 9, 9, 1)
"""Of the decoder's input, which begins with sos."""


def lived_in(model: nn.Module) -> nn.Module:
    """The network, in eval mode, with biases, norms and statistics away from the 0 and 1 at which they start."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.2, generator=generator)
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5, generator=generator)
    return model.eval()


@torch.no_grad()
def theirs(model: nn.Module, task: Task, waves: Tensor, pictures: Tensor, tokens: Tensor) -> list[Tensor]:
    """Memory ``(1, T, D)``, CTC log-probabilities ``(1, T, V)`` and the decoder's logits ``(1, U, V)``.

    Args:
        model: as their code built it, in float64.
        task: of the network.
        waves: ``(1, 640 T)``.
        pictures: ``(1, T, 88, 88)``.
        tokens: ``(1, U)``.
    """
    parts = dict(model.named_children())
    heard, seen = waves[:, :, None], pictures[:, :, None]
    if task == "avsr":
        both = parts["encoder"](seen, None)[0], parts["aux_encoder"](heard, None)[0]
        memory = parts["fusion"](torch.cat(both, dim=-1))
    else:
        x = heard if task == "asr" else seen
        if "frontend" in parts:
            x = parts["proj_encoder"](parts["frontend"](x))
        memory = parts["encoder"](x, None)[0]
    mask = importlib.import_module(f"{PACKAGE}.transformer.mask").subsequent_mask(tokens.shape[1])
    return [memory, parts["ctc"].log_softmax(memory), parts["decoder"](tokens, mask[None], memory, None)[0]]  # type: ignore[operator]


@torch.no_grad()
def compare(path: Path, task: Task) -> list[Figure]:
    """The largest difference of each output."""
    model = lived_in(their_model(path, task, SIZE))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.pth"
        torch.save(model.state_dict(), file)
        start = write_start(file, Path(folder) / "start", task, None, Path(folder))
        ours = Recognizer(start.about.model, start.about.vocabulary)
        ours.load_state_dict(load_file(start.weights))
    ours.double().eval()
    generator = torch.Generator().manual_seed(5)
    waves = torch.randn(1, SAMPLES_PER_FRAME * FRAMES, generator=generator, dtype=torch.float64)
    pictures = torch.randn(1, FRAMES, CROP, CROP, generator=generator, dtype=torch.float64)
    tokens = torch.tensor([TOKENS])
    expected = theirs(model.double(), task, waves, pictures, tokens)
    heard = waves if "audio" in MODALITIES[task] else None
    seen = pictures if "video" in MODALITIES[task] else None
    memory, mask = ours.encode(heard, seen, torch.tensor([FRAMES]))
    assert ours.decoder is not None
    found = [memory, ours.ctc_log_probs(memory), ours.decoder(tokens, memory, mask)]
    details = {"parameters": start.about.parameters, "tensors": start.about.source.tensors}
    return [
        Figure(f"{task}: largest difference of {what}", float((mine - reference).abs().max()), "", AIM, details)
        for what, mine, reference in zip(("memory", "CTC log-probabilities", "logits"), found, expected, strict=True)
    ]


def main(arguments: list[str] | None = None) -> None:
    """Compares, prints and writes ``results/bench/compare_auto_avsr_import-cpu.json``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare_auto_avsr_import", description=__doc__)
    parser.add_argument("path", type=Path, help="a clone of github.com/mpc001/auto_avsr")
    parser.add_argument("--tasks", nargs="+", choices=tuple(MODULES), default=["asr", "vsr"])
    parser.add_argument("--threads", type=int, default=2, help="processor threads")
    parser.add_argument("--output", type=Path, default=Path("results/bench"), help="folder to write")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    figures: list[Figure] = []
    try:
        for task in options.tasks:
            figures += compare(options.path.resolve(), task)
    except ValueError as error:
        sys.exit(f"error: {error}")
    publish(options.output, "compare_auto_avsr_import", (__doc__ or "").splitlines()[0], figures, CPU, small=False)


if __name__ == "__main__":
    main()
