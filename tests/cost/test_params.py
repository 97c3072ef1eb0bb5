"""``python -m lrsms params``: Auto-AVSR to the parameter, and the closed forms of its factorised variants."""

import json
from pathlib import Path

import pytest

from lrsms.__main__ import main

CONFIG = Path(__file__).parents[2] / "workflow/config"
TOTAL = 243_049_202


def params(capsys, *arguments: str, preset: str = "paper-asr") -> dict:
    assert main(["--config-folder", str(CONFIG), "params", preset, *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def settings(targets: str, ratio: float) -> list[str]:
    return ["--set", f"lowrank.targets=[{targets}]", f"lowrank.ratio={ratio}"]


def attention(num_matrices: int, rank: int) -> int:
    """Change of parameters of so many 768 x 768 matrices."""
    return num_matrices * (rank * (768 + 768) - 768 * 768)


def feedforward(num_matrices: int, rank: int) -> int:
    """Change of parameters of so many 3072 x 768 matrices."""
    return num_matrices * (rank * (3072 + 768) - 3072 * 768)


def test_paper_asr_is_auto_avsr_to_the_parameter(capsys):
    result = params(capsys)
    assert result["parameters"] == result["parameters_dense"] == TOTAL
    assert result["vocabulary"] == 5049
    assert {part: counts["parameters"] for part, counts in result["parts"].items()} == {
        "frontend": 3_848_576,
        "frontend.projection": 512 * 768 + 768,
        "encoder": 170_451_456,
        "ctc": 3_882_681,
        "decoder": 64_472_505,
    }


def test_paper_vsr_is_auto_avsr_to_the_parameter(capsys):
    result = params(capsys, preset="paper-vsr")
    assert result["parameters"] == result["parameters_dense"] == 250_383_410
    assert {part: counts["parameters"] for part, counts in result["parts"].items()} == {
        "frontend": 11_182_784,
        "frontend.projection": 512 * 768 + 768,
        "encoder": 170_451_456,
        "ctc": 3_882_681,
        "decoder": 64_472_505,
    }


def test_paper_avsr_is_auto_avsr_to_the_parameter(capsys):
    result = params(capsys, preset="paper-avsr")
    assert result["parameters"] == result["parameters_dense"] == 443_977_138
    parts = {part: counts["parameters"] for part, counts in result["parts"].items()}
    asr, vsr = (params(capsys, preset=preset)["parts"] for preset in ("paper-asr", "paper-vsr"))
    for part in ("frontend", "frontend.projection", "encoder"):
        assert parts.pop(f"audio_{part}") == asr[part]["parameters"]
        assert parts.pop(f"video_{part}") == vsr[part]["parameters"]
    assert parts == {"fusion": 18_899_712, "ctc": 3_882_681, "decoder": 64_472_505}
    assert (443_977_138 - sum(parts.values())) / 1e6 == pytest.approx(182.03 + 174.69, abs=0.01)


@pytest.mark.parametrize(
    "targets, ratio, change, millions",
    [
        (
            "encoder.attention, encoder.feedforward, decoder.*_attention, decoder.feedforward",
            0.25,
            attention(120 + 48, 192) + feedforward(96 + 12, 192),
            219.3,
        ),
        ("video_encoder.attention", 0.25, attention(60, 192), 426.3),
        ("fusion", 0.25, 384 * (8192 + 1536) - 8192 * 1536 + 192 * (768 + 8192) - 768 * 8192, 430.6),
    ],
)
def test_totals_of_audio_and_video_equal_their_closed_forms(capsys, targets, ratio, change, millions):
    result = params(capsys, *settings(targets, ratio), preset="paper-avsr")
    assert result["parameters"] == 443_977_138 + change
    assert result["parameters"] / 1e6 == pytest.approx(millions, abs=0.0501)


@pytest.mark.parametrize(
    "targets, ratio, change, millions",
    [
        ("encoder.attention", 0.75, attention(60, 576), 260.7),
        ("encoder.attention", 0.5, attention(60, 384), 243.0),
        ("encoder.attention", 0.25, attention(60, 192), 225.4),
        ("encoder.attention", 0.12, attention(60, 92), 216.1),
        ("encoder.feedforward", 0.5, feedforward(48, 384), 200.6),
        ("encoder.feedforward", 0.25, feedforward(48, 192), 165.2),
        ("encoder.attention, encoder.feedforward", 0.25, attention(60, 192) + feedforward(48, 192), 147.5),
        ("encoder.attention, encoder.feedforward", 0.12, attention(60, 92) + feedforward(48, 92), 119.8),
        (
            "encoder.attention, encoder.feedforward, decoder.*_attention, decoder.feedforward",
            0.25,
            attention(60 + 48, 192) + feedforward(48 + 12, 192),
            113.9,
        ),
    ],
)
def test_totals_equal_their_closed_forms(capsys, targets, ratio, change, millions):
    result = params(capsys, *settings(targets, ratio))
    assert result["parameters"] == TOTAL + change
    assert result["parameters_dense"] == TOTAL
    assert result["parameters"] / 1e6 == pytest.approx(millions, abs=0.0501)
    assert sum(counts["parameters"] for counts in result["parts"].values()) == result["parameters"]


def test_adamw_keeps_two_numbers_for_each_parameter_and_muon_one_for_those_of_inner_matrices(capsys):
    """Inner: all but the embedding, both heads, the convolutions, norms and biases."""
    adamw, muon = params(capsys), params(capsys, "--set", "train.optimizer=muon")
    assert adamw["optimizer"] == {
        "name": "adamw",
        "state_bytes": 4 * 2 * TOTAL,
        "update_bytes": 4 * 7 * TOTAL,
        "update_multiply_adds": 0,
    }
    inner = [matrix for matrix in muon["matrices"] if matrix["name"] not in ("ctc", "decoder.output")]
    numbers = sum(len(matrix["layers"]) * matrix["rows"] * matrix["columns"] for matrix in inner)
    assert muon["optimizer"]["state_bytes"] == 4 * (2 * TOTAL - numbers)
    # 5 (2 m^2 n + m^3) of each, m <= n.
    assert muon["optimizer"]["update_multiply_adds"] == sum(
        5 * len(x["layers"]) * (2 * short**2 * long + short**3)
        for x in inner
        for short, long in [sorted((x["rows"], x["columns"]))]
    )


def test_low_rank_makes_muons_products_cheaper(capsys):
    """At a quarter of full rank each iteration costs less than a tenth: 2 r^2 (m + n) + 2 r^3 for 2 m^2 n + m^3."""
    muon = ["--set", "train.optimizer=muon"]
    dense = params(capsys, *muon)["optimizer"]["update_multiply_adds"]
    everything = "encoder.*, decoder.self_attention, decoder.cross_attention, decoder.feedforward"
    low = params(capsys, *muon, f"lowrank.targets=[{everything}]", "lowrank.ratio=0.25")["optimizer"]
    assert low["update_multiply_adds"] < dense / 10


def test_the_optimizer_of_what_is_cut_at_the_end_is_that_of_the_dense_model(capsys):
    muon = ["--set", "train.optimizer=muon"]
    cut = ["lowrank.targets=[encoder.feedforward]", "lowrank.ratio=0.25", "lowrank.method.name=truncated"]
    assert params(capsys, *muon, *cut)["optimizer"] == params(capsys, *muon)["optimizer"]


def test_settings_may_come_one_by_one_and_each_once(capsys):
    one_by_one = ("--set", "lowrank.targets=[encoder.feedforward]", "--set", "lowrank.ratio=0.25")
    assert params(capsys, *one_by_one) == params(capsys, *settings("encoder.feedforward", 0.25))
    assert main(["--config-folder", str(CONFIG), "params", "paper-asr", *one_by_one, "--set", "lowrank.ratio=0.5"]) == 1
    assert "--set lowrank.ratio=0.5: 'lowrank.ratio' is given twice" in capsys.readouterr().err


def test_the_page_on_optimizers_shows_what_is_printed(capsys):
    page = (CONFIG.parents[1] / "docs/optimizers.md").read_text()
    command = next(line for line in page.splitlines() if " params paper-asr " in line).split()
    assert main(["--config-folder", str(CONFIG), *command[command.index("params") :]]) == 0
    assert capsys.readouterr().out.strip().splitlines()[-1] in page


def test_attention_above_half_rank_grows(capsys):
    assert params(capsys, *settings("encoder.attention", 0.75))["parameters"] == 260_743_922


def test_a_linear_mapping_costs_what_the_uniform_one_costs(capsys):
    uniform = settings("encoder.attention, encoder.feedforward", 0.25)
    for slope in ("0.5", "-0.5"):
        linear = params(capsys, *uniform, "lowrank.mapping=linear", f"lowrank.slope={slope}")
        assert linear["parameters"] == params(capsys, *uniform)["parameters"]


@pytest.mark.parametrize(
    "shape, break_even", [((768, 768), 384.0), ((3072, 768), 614.4), ((1536, 768), 512.0), ((2304, 768), 576.0)]
)
def test_break_even_ranks(capsys, shape, break_even):
    result = params(capsys, *settings("encoder.attention", 0.5), "lowrank.qkv=fused")
    matrices = [m for m in result["matrices"] if (m["rows"], m["columns"]) == shape]
    assert matrices and {m["break_even"] for m in matrices} == {break_even}


def test_prints_tables_for_people(capsys):
    arguments = ["params", "paper-asr", *settings("encoder.attention", 0.25)]
    assert main(["--config-folder", str(CONFIG), *arguments]) == 0
    text = capsys.readouterr().out
    row = next(line for line in text.splitlines() if "total" in line)
    assert "243,049,202" in row and "225,354,482" in row and "1.08" in row
    assert "Optimizer adamw: keeps 1,802.8 MB; an update reads and writes" in text
    row = next(line for line in text.splitlines() if "encoder.blocks.*.attention.qkv.q" in line)
    assert [cell.strip() for cell in row.split("│")[2:6]] == ["12", "768 x 768", "384.0", "192"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["paper-asr", *settings("encoder.atention", 0.5)], "matches no matrix; did you mean 'encoder.attention'?"),
        (["paper-asr", "--set", "lowrank.ration=0.5"], "unknown key 'lowrank.ration'; did you mean 'lowrank.ratio'?"),
        (["paper-asr", "--set", "lowrank.ratio=0"], "'lowrank.ratio' is 0"),
        (["paper-asr", "--set", "lowrank.ratio"], "must be field=value"),
        (["papr-asr"], "no preset 'papr-asr'"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, message):
    assert main(["--config-folder", str(CONFIG), "params", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
