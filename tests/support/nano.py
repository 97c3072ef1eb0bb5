"""The content of a tiny preset, corpus, project and study, as they are read from YAML."""

from typing import Any

PRESET: dict[str, Any] = {
    "tokenizer": {"kind": "characters"},
    "model": {
        "frontend": "logmel",
        "mels": 20,
        "channels": 4,
        "dim": 16,
        "heads": 2,
        "feedforward": 24,
        "layers": 2,
        "kernel": 5,
        "decoder_layers": 1,
        "dropout": 0.1,
        "initialiser": "default",
    },
    "train": {
        "steps": 8,
        "group_frames": 400,
        "groups_per_step": 2,
        "lr": 0.003,
        "betas": [0.9, 0.98],
        "weight_decay": 0.01,
        "warmup": 0.25,
        "clip": 5.0,
        "ctc_weight": 0.5,
        "label_smoothing": 0.1,
        "precision": "float32",
        "snapshots": 4,
        "average": 2,
        "augment": {"time_masks": 1.0, "time_width": 0.2, "mel_masks": 1, "mel_width": 4},
    },
}
CORPUS: dict[str, Any] = {
    "kind": "synthetic",
    "grammar": "commands",
    "train": 40,
    "valid": 6,
    "test": 8,
    "train_voices": 5,
    "valid_voices": 2,
    "test_voices": 4,
    "snr": [15, 25],
}
PROJECT: dict[str, Any] = {
    "study": "sizes",
    "task": "asr",
    "scale": "nano",
    "corpus": "few",
    "decoders": {
        "greedy": {"kind": "greedy"},
        "beam": {"kind": "beam", "beam": 3, "ctc_weight": 0.4, "length_bonus": 0.1},
    },
    "conditions": {
        "asr": {"clean": {"split": "test"}},
        "vsr": {"clean": {"split": "test"}},
        "avsr": {"clean": {"split": "test"}, "noisy": {"split": "test", "noise": "babble", "snr": 0}},
    },
}
STUDY: dict[str, Any] = {
    "question": "Does it run?",
    "grids": [{"seed": [1]}, {"lowrank.targets": [["encoder.attention"]], "lowrank.ratio": [0.5, 0.25], "seed": [1]}],
}
SPECTRAL: dict[str, Any] = {"lowrank__targets": ["encoder.attention", "encoder.feedforward"], "lowrank__ratio": 0.5}
"""Fields that make a run one of low rank with the initialisation of the paper."""
VIDEO: dict[str, Any] = {"video_channels": 2, "video_shrink": 4}
HEARING: dict[str, Any] = {key: PRESET["model"][key] for key in ("frontend", "mels", "channels")}
VSR: dict[str, Any] = PRESET | {
    "model": {key: value for key, value in PRESET["model"].items() if key not in HEARING} | VIDEO,
    "train": PRESET["train"] | {"augment": {"video_masks": 1.0, "video_width": 0.2, "flip": True}},
}
AVSR: dict[str, Any] = PRESET | {
    "model": PRESET["model"] | VIDEO | {"fusion": 24},
    "train": PRESET["train"]
    | {
        "augment": PRESET["train"]["augment"] | {"video_masks": 1.0, "video_width": 0.2},
        "noise": {"kind": "babble", "snrs": [-5, 5, "clean"]},
        "modality_dropout": 0.2,
    },
}
PRESETS: dict[str, dict[str, Any]] = {"asr": PRESET, "vsr": VSR, "avsr": AVSR}
"""By task."""
