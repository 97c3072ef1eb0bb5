"""The tables say what the counts say, and can be read."""

import io
import re

import fabricate
import pandas as pd
import pytest
from rich.console import Console

from lrsms.report import aggregate, readable, tables
from lrsms.report.summary import summarise
from lrsms.statistics import stats


@pytest.fixture
def folder(tmp_path):
    """The demonstration's tables, one seed."""
    experiments, records, steptimes = fabricate.demo_study(tmp_path)
    aggregate.aggregate(experiments, records, steptimes, fabricate.DECODING, tmp_path / "demo")
    tables.write(tmp_path / "demo")
    return tmp_path / "demo"


def rows(markdown):
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    header, _, *body = [[text.strip() for text in line.strip("|").split("|")] for line in lines]
    return [dict(zip(header, line, strict=True)) for line in body]


def test_word_error_rate_is_edits_over_words(folder):
    runs, complete = aggregate.read_runs(folder), pd.read_csv(folder / "table.csv")
    beam = runs[(runs["decoder"] == "beam") & (runs["condition"] == "test")].set_index("cell")
    for row, line in zip(complete.itertuples(), rows((folder / "table.md").read_text()), strict=True):
        expected = 100 * beam.loc[row.cell, "substitutions"] / beam.loc[row.cell, "words"]
        assert row.wer_percent_beam_test == pytest.approx(expected)
        assert line["WER % beam [95%]"].startswith(f"{expected:.1f} [")
        assert row.wer_percent_beam_test_low <= expected <= row.wer_percent_beam_test_high


def test_the_parts_of_the_error_rate_are_shown_and_add_up_to_it(tmp_path):
    """Means over seeds of substitutions, deletions and insertions over words."""
    experiments = [experiment for _, experiment in fabricate.demo(seeds=(1, 2))[:4]]
    for number, experiment in enumerate(experiments):
        scores = fabricate.scores(0.2, number)
        deleted = (scores["substitutions"] > 0) & (scores.index % (2 + number) == 0)
        scores.loc[deleted, ["substitutions", "deletions"]] += [-1, 1]
        scores.loc[deleted, "alignment"] = scores.loc[deleted, "alignment"].str.replace("S", "D", n=1)
        scores[["insertions", "character_edits"]] += (scores.index % 5 == 0)[:, None]
        scores.loc[scores["insertions"] > 0, "alignment"] += "I"
        fabricate.record(tmp_path / "records", experiment, scores)
    aggregate.aggregate(experiments, tmp_path / "records", tmp_path / "steptime", fabricate.DECODING, tmp_path / "out")
    tables.write(tmp_path / "out")
    runs, complete = aggregate.read_runs(tmp_path / "out"), pd.read_csv(tmp_path / "out" / "table.csv")
    runs = runs[(runs["decoder"] == "beam") & (runs["condition"] == "test")]
    names = ["substitutions", "deletions", "insertions"]
    for row, line in zip(complete.to_dict("records"), rows((tmp_path / "out" / "table.md").read_text()), strict=True):
        expected = [
            100 * (part := runs[runs["cell"] == row["cell"]])[name].sum() / part["words"].sum() for name in names
        ]
        found = [row[f"{name}_percent_beam_test"] for name in names]
        assert found == pytest.approx(expected) and min(found) > 0
        assert sum(found) == pytest.approx(row["wer_percent_beam_test"])
        assert line["S / D / I %"] == " / ".join(f"{value:.1f}" for value in expected)


def test_change_is_the_difference_from_dense(folder):
    complete = pd.read_csv(folder / "table.csv")
    rates = complete["wer_percent_beam_test"]
    assert complete["wer_change_beam_test"].iloc[1:].to_numpy() == pytest.approx((rates - rates[0]).iloc[1:].to_numpy())
    assert pd.isna(complete["wer_change_beam_test"].iloc[0])


def test_a_row_per_cell_dense_first(folder):
    table = rows((folder / "table.md").read_text())
    assert [row["targets"] for row in table][:2] == ["dense", "attention"] and len(table) == len(fabricate.DEMO)
    assert table[0]["kept"] == "" and table[0]["WER change [95%]"] == ""
    assert [row["mapping"] for row in table][-1] == "linear +0.5"


def test_markdown_lines_are_short_enough_and_say_what_they_leave_out(folder):
    text = (folder / "table.md").read_text()
    assert all(len(line) <= tables.WIDTH for line in text.splitlines() if line.startswith("|"))
    assert re.search(r"- Also in table\.csv: memory MB, CER %", text)
    assert "12 speakers" in text and "120 utterances" in text and "CPU, 2 threads" in text
    assert "given these models" in text and "fraction of full rank that is kept" in text


def test_what_never_varies_is_a_note_and_not_a_column(tmp_path):
    experiments = [experiment for _, experiment in fabricate.demo()[:4]]
    for number, experiment in enumerate(experiments):
        fabricate.record(tmp_path / "records", experiment, fabricate.scores(0.1, number))
    aggregate.aggregate(experiments, tmp_path / "records", tmp_path, fabricate.DECODING, tmp_path / "out")
    tables.write(tmp_path / "out")
    text = (tmp_path / "out/table.md").read_text()
    assert "All low-rank rows: mapping uniform, init spectral." in text
    assert not {"mapping", "init", "step ms", "speed-up [95%]"} & set(rows(text)[0])


def test_unfinished_and_diverged_cells_are_named_as_such(tmp_path):
    experiments = [experiment for _, experiment in fabricate.demo()[:3]]
    fabricate.record(tmp_path / "records", experiments[0], fabricate.scores(0.1, 1))
    empty = fabricate.scores(0.1, 1).iloc[:0]
    fabricate.record(tmp_path / "records", experiments[1], empty, status="diverged", diverged_at=6)
    aggregate.aggregate(experiments, tmp_path / "records", tmp_path, fabricate.DECODING, tmp_path / "out")
    tables.write(tmp_path / "out")
    text = (tmp_path / "out/table.md").read_text()
    _, diverged, missing = rows(text)
    assert (diverged["WER % beam [95%]"], diverged["params M"]) == ("diverged at step 6", "0.75")
    assert (missing["WER % beam [95%]"], missing["params M"]) == ("-", "-")
    assert "'-': not finished." in text


def test_nothing_finished_is_still_a_table(tmp_path):
    experiments = [experiment for _, experiment in fabricate.demo()]
    aggregate.aggregate(experiments, tmp_path, tmp_path, fabricate.DECODING, tmp_path / "out")
    tables.write(tmp_path / "out")
    text = (tmp_path / "out/table.md").read_text()
    assert {row["WER % beam [95%]"] for row in rows(text)} == {"-"}
    assert "x fewer" not in text and "WER change (points): against the dense row" in text


def test_a_comparison_is_explained_where_it_is_a_column(folder):
    summary = summarise(folder)
    seen = set()
    for width in range(40, 200, 10):
        table = tables.readable(summary, width)
        shown = "x fewer" in {column.header for column in table.columns}
        assert any("x fewer (parameters)" in note for note in table.notes) == shown
        assert any(note.startswith("WER change (points)") for note in table.notes)
        seen.add(shown)
    assert seen == {True, False}


def test_a_low_error_rate_gets_a_second_decimal(tmp_path):
    experiments = [experiment for _, experiment in fabricate.demo()[:2]]
    for number, experiment in enumerate(experiments):
        fabricate.record(tmp_path / "records", experiment, fabricate.scores(0.01, number))
    aggregate.aggregate(experiments, tmp_path / "records", tmp_path, fabricate.DECODING, tmp_path / "out")
    tables.write(tmp_path / "out")
    assert re.match(r"\d\.\d\d \[", rows((tmp_path / "out/table.md").read_text())[0]["WER % beam [95%]"])


def test_latex_is_balanced_escaped_and_has_equally_many_cells_in_each_row(folder):
    text = (folder / "table.tex").read_text()
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    counts = {len(re.findall(r"(?<!\\)&", line)) for line in body.strip().splitlines()}
    columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)
    assert columns is not None and counts == {len(columns[1]) - 1}
    assert re.sub(r"\\[{}]", "", text).count("{") == re.sub(r"\\[{}]", "", text).count("}")
    assert len(re.findall(r"\\begin\{", text)) == len(re.findall(r"\\end\{", text)) == 2
    # Only the first line is a comment: any other bare per cent sign would swallow the rest of its line.
    assert not re.search(r"(?<!\\)[%#$]", text.split("\n", 1)[1])
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule"))


def test_latex_escapes_every_special_character():
    assert readable.escape_latex("a_b 5% {x} [y] \\") == r"a\_b 5\% \{x\} {[}y{]} \textbackslash{}"


def test_the_terminal_shows_every_cell_and_the_notes(folder):
    file = io.StringIO()
    tables.render_terminal(folder, Console(file=file, width=80))
    text = file.getvalue()
    assert text.count("attention + feedforward") == 3 and "speed-up" in text and "12 speakers" in text
    narrow = io.StringIO()
    tables.render_terminal(folder, Console(file=narrow, width=100, force_terminal=True, no_color=True))
    assert "31.2 [" in narrow.getvalue()


def test_several_seeds_have_a_p_and_the_one_that_holm_makes_of_it(tmp_path):
    experiments, records, steptimes = fabricate.demo_study(tmp_path, (1, 2, 3))
    aggregate.aggregate(experiments, records, steptimes, fabricate.DECODING, tmp_path / "out")
    tables.write(tmp_path / "out")
    text, complete = (tmp_path / "out/table.md").read_text(), pd.read_csv(tmp_path / "out/table.csv")
    plain, adjusted = complete["wer_change_p_beam_test"], complete["wer_change_p_holm_beam_test"]
    assert list(adjusted[1:]) == pytest.approx(stats.holm(plain[1:])) and pd.isna(adjusted[0])
    assert "wer_change_p_holm_greedy_test" not in complete, "one p each is adjusted: the primary one"
    assert [row["p (Holm)"] for row in rows(text)] == ["", *map(readable.as_p, adjusted[1:])]
    assert "Holm: over the 7 comparisons of this table" in text


def test_one_seed_has_no_p(folder):
    text = (folder / "table.md").read_text()
    assert "p (Holm)" not in text and "p: two-sided" not in text
    assert pd.read_csv(folder / "table.csv")["wer_change_p_beam_test"].isna().all()


def test_targets_outside_the_encoder_keep_their_full_names(tmp_path):
    lowrank = {"targets": ("encoder.attention", "decoder.feedforward"), "ratio": 0.5}
    experiments = [fabricate.experiment(fabricate.run()), fabricate.experiment(fabricate.run(lowrank))]
    aggregate.aggregate(experiments, tmp_path, tmp_path, fabricate.DECODING, tmp_path / "out")
    tables.write(tmp_path / "out")
    text = (tmp_path / "out/table.md").read_text()
    assert rows(text)[1]["targets"] == "encoder.attention + decoder.feedforward"
    assert "Targets are matrices of the encoder" not in text


def test_the_same_records_give_the_same_bytes(folder):
    names = ("table.csv", "table.md", "table.tex")
    first = [(folder / name).read_bytes() for name in names]
    tables.write(folder)
    assert first == [(folder / name).read_bytes() for name in names]


def test_an_absent_aggregate_is_refused_in_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"runs\.csv: is not there; run the study first") as error:
        tables.write(tmp_path)
    assert "\n" not in str(error.value)


def test_step_times_are_the_dense_one_over_the_speed_up(folder):
    summary = summarise(folder)
    dense = next(cell.step_ms for cell in summary.cells if not cell.targets)
    column = next(column for column in tables.readable(summary, 1000).columns if column.header == "step ms")
    for cell, text in zip(summary.cells, column.texts, strict=True):
        if cell.targets and cell.speedup and dense:
            assert float(text) == pytest.approx(dense / cell.speedup.value, rel=0.01)
