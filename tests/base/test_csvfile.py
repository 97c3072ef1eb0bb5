"""Facts about our CSV: no cell of text is a formula, numbers are numbers, and what is read is what was written."""

import csv
import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsms.base.csvfile import guarded, unguard, unguarded, write_csv
from lrsms.record.score import Score, align, read_alignments, read_scores, write_scores
from lrsms.report.readable import Column, Readable, latex, markdown

FORMULAS = ["=1+1", "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "=", "-2+3+cmd|' /C calc'!A0"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_marked_as_text(text):
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-5", "+1.5e-3", "-.5", "word", "it's", "'tis", "a=b", "", "007", "nan"])
def test_numbers_and_other_texts_are_left_alone(text):
    assert guarded(text) == text == unguarded(text)


@given(st.text(st.sampled_from("'=+-@\t\r1a "), max_size=6) | st.text())
def test_what_is_read_is_what_was_written(text):
    assert unguarded(guarded(text)) == text
    assert not guarded(text).startswith(("=", "@", "\t", "\r"))


def test_a_table_is_read_as_it_was_written(tmp_path):
    table = pd.DataFrame({"=cell": [*FORMULAS, "'=1", "''+1", None], "change": [-0.5] * 12, "seed": [-1] * 12})
    write_csv(tmp_path / "t.csv", table)
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["'=cell", "change", "seed"] and rows[1] == ["'=1+1", "-0.5", "-1"]
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "@", "\t", "\r"))]
    text = io.StringIO((tmp_path / "t.csv").read_bytes().decode(), newline="")
    read = unguard(pd.read_csv(text, dtype={"'=cell": "str"}, keep_default_na=False))
    assert read["=cell"].tolist() == [*table["=cell"].tolist()[:-1], ""]
    assert read["change"].tolist() == table["change"].tolist()


def test_names_of_utterances_and_speakers_are_no_formulas_either(tmp_path):
    rows = [Score("greedy", "clean", name, f"@{name}", align("a b", "a c")) for name in ("=1+1", "'=1", "-2", "u")]
    write_scores(tmp_path / "scores.csv.gz", rows)
    read = read_scores(tmp_path / "scores.csv.gz")
    assert set(read["id"]) == {"=1+1", "'=1", "-2", "u"} and set(read["speaker"]) == {"@=1+1", "@'=1", "@-2", "@u"}
    assert set(read_alignments(tmp_path / "scores.csv.gz")["greedy", "clean"]) == {"=1+1", "'=1", "-2", "u"}


TABLE = Readable(
    (Column("a|b", ("x|y", "<img src=x> [l](http://e) \x1b[2J", "1\n| 2 |")), Column("n", ("5 [4, 6]", "<0.001", "a"))),
    ("note <script>\x1b",),
)


def test_a_cell_of_a_markdown_table_is_no_markup():
    lines = markdown(TABLE).splitlines()
    assert all(line.count("|") - line.count("\\|") == 3 for line in lines[:5])
    assert r"\<img src=x> [l\](http://e) \x1b[2J" in lines[3] and r"1 \| 2 \|" in lines[4]
    assert "5 [4, 6]" in lines[2] and "<0.001" in lines[3]
    assert lines[-1] == r"- note \<script>\x1b"


def test_a_cell_of_a_latex_table_is_on_one_line_and_commands_nothing():
    written = latex(TABLE, "t")
    assert r"1 | 2 |" in written and r"\textbackslash{}x1b{[}2J" in written and "\x1b" not in written
