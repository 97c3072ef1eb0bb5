"""The setting of a step time. A speed-up is valid for one precision, mode, size of step and device only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """The setting for which a measured speed-up is valid.

    Attributes:
        precision: of matrix products: bfloat16, or float32 (on a GPU with convolutions in TF32, as PyTorch has them).
        mode: eager, graphs or compiled.
        frames: video frames (40 ms) of a step.
        device: the model of the GPU or processor.
    """

    precision: str
    mode: str
    frames: int
    device: str

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Setting":
        """Of a step time's file, or of a row of ``stepbench`` with its ``device``; old ones were all eager.

        Raises:
            ValueError: one line: a key is missing or of another type.
        """
        found: dict[str, Any] = {"mode": "eager"} | {key: content.get(key) for key in ("precision", "frames", "device")}
        if isinstance(content.get("mode"), str):
            found["mode"] = content["mode"]
        for key, kind in cls.__annotations__.items():
            if type(found[key]) is not kind:
                raise ValueError(f"step time: '{key}' is {found[key]!r}; a {kind.__name__} is needed; time it again")
        return cls(**found)

    def __str__(self) -> str:
        """For a sentence: ``in bfloat16, eager, steps of 1,600 frames, on NVIDIA H100``."""
        return f"in {self.precision}, {self.mode}, steps of {self.frames:,} frames, on {self.device}"
