"""The comparison with Auto-AVSR's own code: what its folder must be, and how its step is fed."""

import sys

import pytest
import torch
from small import AUDIOVISUAL, SIZE, small_run
from torch import nn

from benchmarks import compare_auto_avsr
from benchmarks.compare_auto_avsr import PACKAGE, Setting, TheirStep, main, their_model
from lrsms.cost.random_data import random_batch

CPU = torch.device("cpu")


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """Writes a folder that looks like a clone with the given code in place of its network."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(code, module="e2e_asr_conformer"):
        folder = tmp_path / PACKAGE.replace(".", "/")
        folder.mkdir(parents=True)
        (folder / f"{module}.py").write_text(code)
        return tmp_path

    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] == "espnet"]:
        del sys.modules[name]


def test_what_is_no_clone_is_refused(tmp_path):
    with pytest.raises(SystemExit, match=r"is no clone of github.com/mpc001/auto_avsr"):
        main([str(tmp_path), "--tasks", "asr", "--small"])


def test_the_main_branch_has_no_network_of_both_modalities(clone):
    with pytest.raises(ValueError, match=r"tag v1.0.0 has both"):
        their_model(clone("class E2E: pass"), "avsr", SIZE)


def test_a_missing_package_is_said(clone):
    with pytest.raises(ValueError, match=r"No module named 'no_such_package'.*install what it needs"):
        their_model(clone("import no_such_package"), "asr", SIZE)


def test_another_version_is_refused(clone):
    code = "class E2E:\n    def __init__(self, idim, odim, args): pass\n"
    with pytest.raises(ValueError, match=r"E2E\(idim, odim, args\) is of another version"):
        their_model(clone(code), "asr", SIZE)


def test_the_main_branch_is_asked_for_its_network_of_audio(clone):
    code = "class E2E:\n    def __init__(self, odim, modality, ctc_weight=0.1): self.given = odim, modality\n"
    assert their_model(clone(code), "asr", SIZE).given == (SIZE, "audio")


def test_the_tag_is_asked_with_its_own_settings(clone):
    code = "class E2E:\n    def __init__(self, odim, args, ignore_id=-1): self.given = odim, args.adim\n"
    path = clone(code)
    folder = path / "configs" / "model" / "audio_backbone"
    folder.mkdir(parents=True)
    (folder / "resnet_conformer.yaml").write_text("adim: 768\n")
    assert their_model(path, "asr", SIZE).given == (SIZE, 768)


@pytest.mark.parametrize("both", [False, True])
def test_their_step_is_a_whole_training_step(both):
    """On samples ``(B, 640 T, 1)``, pictures ``(B, T, 1, 88, 88)``, their lengths and transcripts, in its own order."""

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, *inputs):
            self.shapes = [tuple(x.shape) for x in inputs]
            return self.weight * inputs[0].square().mean(), None

    run = small_run(frontend="wave", mels=None, **(AUDIOVISUAL if both else {}))
    network = Network()
    TheirStep(network, run, random_batch(run, SIZE, 9), CPU)()
    samples, pictures = (1, 640 * 40, 1), (1, 40, 1, 88, 88)
    assert network.shapes == ([pictures, samples, (1,), (1,), (1, 9)] if both else [samples, (1,), (1, 9)])
    assert network.weight != 1


@pytest.mark.parametrize("fails", [None, RuntimeError, TypeError])
def test_settings_that_their_code_does_not_bear_say_so_and_the_others_are_measured(clone, monkeypatch, fails):
    """Both networks are small here; their network is made once."""
    made = []

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))
            made.append(self)

        def forward(self, *inputs):
            if fails and torch.is_autocast_enabled("cpu"):
                raise fails("value cannot be converted\nmore")
            return self.weight * inputs[0].square().mean(), None

    monkeypatch.setattr(compare_auto_avsr, "preset_run", lambda name: small_run(frontend="wave", mels=None))
    monkeypatch.setattr(compare_auto_avsr, "their_model", lambda *_: Network())
    settings = (Setting("bfloat16", "bfloat16", "eager"), Setting("float32", "float32", "eager"))
    monkeypatch.setattr(compare_auto_avsr, "ON_CPU", settings)
    figures = list(compare_auto_avsr.compare(clone(""), "asr", 100, CPU, 0.0))
    assert len(made) == 1
    assert [figure.value is None for figure in figures] == ([True, False, False] if fails else [False] * 4)
    if fails:
        assert figures[0].details == {"why_not": "value cannot be converted"}
