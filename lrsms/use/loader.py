"""Loads the network of this folder. It needs torch and safetensors, nothing else.

``python load.py SPEECH.wav`` prints what is said in a WAV file of 16 kHz, 16 bit and one channel.
"""

import json
import sys
import wave
from pathlib import Path

import torch
from safetensors.torch import load_file


class Network:
    """Encoder and CTC head; ``weights`` holds the attention decoder's too, where there is one."""

    def __init__(self, folder: Path = Path(__file__).parent) -> None:
        self.tokens = json.loads((folder / "tokens.json").read_text(encoding="utf-8"))["tokens"]
        self.weights = dict(sorted(load_file(folder / "weights.safetensors").items()))
        self.graph = torch.export.load(folder / "network.pt2").module()

    @torch.no_grad()
    def log_probs(self, inputs: tuple[torch.Tensor, ...], lengths: torch.Tensor) -> torch.Tensor:
        """CTC log-probabilities ``(B, T, V)``, a frame every 40 ms.

        ``inputs``: what it hears, samples ``(B, 640 T)`` in [-1, 1] at 16 kHz, and then what it sees, mouths
        ``(B, T, 88, 88)`` uint8 at 25 pictures a second, of which it may have one or both. ``lengths``: ``(B,)``
        frames.
        """
        return self.graph(self.weights, inputs, lengths)

    def text(self, log_probs: torch.Tensor, length: int) -> str:
        """The likeliest path of one utterance, ``(T, V)``: repeats merged, blanks (token 0) removed."""
        path = torch.unique_consecutive(log_probs[:length, :-1].argmax(-1)).tolist()
        return "".join(self.tokens[token] for token in path).strip()


if __name__ == "__main__":
    with wave.open(sys.argv[1]) as file:
        if (file.getframerate(), file.getsampwidth(), file.getnchannels()) != (16_000, 2, 1):
            sys.exit(f"{sys.argv[1]}: convert it to 16 kHz, 16 bit, one channel")
        samples = torch.frombuffer(bytearray(file.readframes(file.getnframes())), dtype=torch.int16) / 32768
    frames = max(-(-len(samples) // 640), 5)
    samples = torch.nn.functional.pad(samples, (0, 640 * frames - len(samples)))
    network = Network()
    print(network.text(network.log_probs((samples[None],), torch.tensor([frames]))[0], frames))
