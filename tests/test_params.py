"""``python -m lrsms params``: Auto-AVSR to the parameter, and the closed forms of its factorised variants."""

import json
from pathlib import Path

import pytest

from lrsms.__main__ import main

CONFIG = Path(__file__).parents[1] / "workflow/config"
TOTAL = 243_049_202


def params(capsys, *arguments: str) -> dict:
    assert main(["--config-folder", str(CONFIG), "params", "paper-asr", *arguments, "--json"]) == 0
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
