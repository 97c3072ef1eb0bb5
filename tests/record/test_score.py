"""Alignment counts by hand and against plain Levenshtein; score tables that survive a round trip, and refusals."""

import gzip
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsms.record import hypotheses
from lrsms.record.score import (
    COLUMNS,
    COUNTS,
    Alignment,
    Score,
    align,
    read_alignments,
    read_scores,
    scored,
    word_error_rate,
    write_scores,
)


def levenshtein(a, b):
    """The textbook table (Wagner and Fischer 1974), one row at a time."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        previous, row = row, [i]
        for j, y in enumerate(b, start=1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (x != y)))
    return row[-1]


def hypothesis_line(**changes):
    row = {
        "decoder": "greedy",
        "condition": "clean",
        "id": "s1_001",
        "speaker": "s1",
        "reference": "bin blue at f two now",
        "hypothesis": "bin blue at s two now",
    }
    return json.dumps(row | changes) + "\n"


def counts(alignment):
    return tuple(getattr(alignment, name) for name in COUNTS)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "letters", "expected"),
    [
        ("bin blue at f two now", "bin blue at f two now", "CCCCCC", (6, 0, 0, 0, 21, 0)),
        ("bin blue at f two now", "bin blue at s two now", "CCCSCC", (6, 1, 0, 0, 21, 1)),
        ("the cat sat on the mat", "the cat sat the mat", "CCCDCC", (6, 0, 1, 0, 22, 3)),
        ("the cat sat", "the big cat sat", "CICC", (3, 0, 0, 1, 11, 4)),
        ("a b c d e f", "x b d e f g", "SCDCCCI", (6, 1, 1, 1, 11, 5)),
        ("place red", "", "DD", (2, 0, 2, 0, 9, 9)),
        ("", "place red", "II", (0, 0, 0, 2, 0, 9)),
        ("", "", "", (0, 0, 0, 0, 0, 0)),
    ],
)
def test_alignments_worked_by_hand(reference, hypothesis, letters, expected):
    assert align(reference, hypothesis).letters == letters
    assert counts(align(reference, hypothesis)) == expected


def test_kitten_to_sitting_is_three_edits():
    assert align("kitten", "sitting").character_edits == 3


def test_white_space_only_separates_words():
    assert align("  set  white\tby ", "set white by") == align("set white by", "set white by")


def test_case_and_punctuation_are_not_normalised():
    assert align("Now", "now").substitutions == 1
    assert align("now.", "now").substitutions == 1


sentences = st.lists(st.sampled_from(["a", "b", "ab", "ba", "é"]), max_size=8)


@given(sentences, sentences)
def test_edits_equal_plain_levenshtein(reference, hypothesis):
    alignment = align(" ".join(reference), " ".join(hypothesis))
    assert alignment.edits == levenshtein(reference, hypothesis)
    assert alignment.edits == alignment.substitutions + alignment.deletions + alignment.insertions
    assert alignment.words == len(reference)
    assert alignment.words - alignment.deletions + alignment.insertions == len(hypothesis)
    assert alignment.character_edits == levenshtein(" ".join(reference), " ".join(hypothesis))
    assert alignment.characters == len(" ".join(reference))


@given(sentences, sentences)
def test_right_words_are_the_same_words_in_both(reference, hypothesis):
    rest_of_reference, rest_of_hypothesis = iter(reference), iter(hypothesis)
    for letter in align(" ".join(reference), " ".join(hypothesis)).letters:
        mine = next(rest_of_reference) if letter in "CSD" else None
        theirs = next(rest_of_hypothesis) if letter in "CSI" else None
        assert (mine == theirs) == (letter == "C")


def documented_alignment(reference, hypothesis):
    """The one of several alignments that ``align`` says it takes, found by walking back through the whole table."""
    start = 0
    while start < min(len(reference), len(hypothesis)) and reference[start] == hypothesis[start]:
        start += 1
    end = 0
    while end < min(len(reference), len(hypothesis)) - start and reference[-1 - end] == hypothesis[-1 - end]:
        end += 1
    a, b = reference[start : len(reference) - end], hypothesis[start : len(hypothesis) - end]
    distance = [[levenshtein(a[:i], b[:j]) for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    i, j, middle = len(a), len(b), ""
    while i or j:
        if i and distance[i][j] == distance[i - 1][j] + 1:
            i, middle = i - 1, "D" + middle
        elif i and j and a[i - 1] != b[j - 1] and distance[i][j] == distance[i - 1][j - 1] + 1:
            i, j, middle = i - 1, j - 1, "S" + middle
        elif j and distance[i][j] == distance[i][j - 1] + 1:
            j, middle = j - 1, "I" + middle
        else:
            i, j, middle = i - 1, j - 1, "C" + middle
    return "C" * start + middle + "C" * end


def test_of_equal_alignments_the_documented_one_is_taken():
    assert align("a b", "c").letters == "SD"
    assert align("a", "b c").letters == "IS"
    assert align("a a", "a").letters == "CD"
    draw = random.Random(0)
    for _ in range(300):
        reference, hypothesis = ([draw.choice("abc") for _ in range(draw.randrange(10))] for _ in range(2))
        expected = documented_alignment(reference, hypothesis)
        assert align(" ".join(reference), " ".join(hypothesis)).letters == expected, (reference, hypothesis)


def test_corpus_rates_are_ratios_of_sums_not_means_of_ratios():
    alignments = [align("a", "b"), align("a b c d e f g h i", "a b c d e f g h i")]
    assert word_error_rate(alignments) == 1 / 10
    assert word_error_rate([align("a", "a b c")]) == 2.0


def test_a_rate_of_nothing_is_refused():
    with pytest.raises(ValueError, match="needs reference words, found none"):
        word_error_rate([])
    with pytest.raises(ValueError, match="needs reference words, found none"):
        word_error_rate([align("", "a")])


def score(folder, status="finished"):
    """Reads hypotheses and writes their score table."""
    rows = hypotheses.read(folder / "hypotheses.jsonl", folder, {"status": status})
    write_scores(folder / "scores.csv.gz", scored(rows))


def test_scores_a_hypotheses_file(tmp_path):
    lines = [
        hypothesis_line(),
        hypothesis_line(decoder="beam", hypothesis=""),
        hypothesis_line(id="007", speaker="nan"),
        hypothesis_line(id="007", speaker="nan", decoder="beam"),
    ]
    (tmp_path / "hypotheses.jsonl").write_text("".join(lines), encoding="utf-8")
    score(tmp_path)
    table = read_scores(tmp_path / "scores.csv.gz")
    assert tuple(table.columns) == COLUMNS
    assert table.values.tolist() == [
        ["beam", "clean", "007", "nan", 6, 1, 0, 0, 21, 1, "CCCSCC"],
        ["greedy", "clean", "007", "nan", 6, 1, 0, 0, 21, 1, "CCCSCC"],
        ["beam", "clean", "s1_001", "s1", 6, 0, 6, 0, 21, 21, "DDDDDD"],
        ["greedy", "clean", "s1_001", "s1", 6, 1, 0, 0, 21, 1, "CCCSCC"],
    ]
    assert {p.name for p in tmp_path.iterdir()} == {"hypotheses.jsonl", "scores.csv.gz"}


def test_no_hypotheses_give_a_table_without_rows(tmp_path):
    (tmp_path / "hypotheses.jsonl").write_text("")
    score(tmp_path, "diverged")
    table = read_scores(tmp_path / "scores.csv.gz")
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 0
    assert table["words"].dtype == "int64"


def test_the_bytes_depend_on_the_rows_only(tmp_path):
    alignment = Alignment("CCCSCC", 21, 1)
    rows = [Score(d, c, f"u{i}", "s", alignment) for d in ("a", "b") for c in ("x", "y") for i in range(20)]
    write_scores(tmp_path / "one.csv.gz", rows)
    write_scores(tmp_path / "two.csv.gz", random.Random(0).sample(rows, len(rows)))
    assert (tmp_path / "one.csv.gz").read_bytes() == (tmp_path / "two.csv.gz").read_bytes()
    assert (tmp_path / "one.csv.gz").read_bytes()[4:8] == bytes(4)  # RFC 1952: no time of writing
    assert not (tmp_path / "one.csv.gz").read_bytes()[3] & 8  # nor a name


def test_a_large_test_set_stays_small_enough_to_commit(tmp_path):
    """LRS3's 1,321 test utterances under two decoders and four conditions, with realistic ids and 10% WER."""
    draw = random.Random(0)
    names = [(f"{draw.randrange(16**11):011x}", i) for i in range(412)]
    utterances = [(f"{name}_{take:05d}", name) for name, _ in names for take in range(1, 5)][:1321]
    rows = []
    for utterance, speaker in utterances:
        words = draw.randint(2, 14)
        for decoder in ("greedy", "beam"):
            for condition in ("clean", "snr_10", "snr_0", "snr_-5"):
                letters = "".join(draw.choices(("C", "S", "D", "CI"), (90, 7, 2, 1), k=words))
                edits = len(letters) - letters.count("C")
                rows.append(Score(decoder, condition, utterance, speaker, Alignment(letters, 5 * words, 3 * edits)))
    write_scores(tmp_path / "scores.csv.gz", rows)
    assert len(rows) == 10568
    assert (tmp_path / "scores.csv.gz").stat().st_size < 80_000


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (hypothesis_line()[:-20], "the file ends within this line"),
        (hypothesis_line()[:-20] + "\n", "not JSON"),
        ("\n", "not JSON"),
        ("[1]\n", "has list; expected an object with decoder, condition, id"),
        (hypothesis_line(extra="x"), "hypothesis, extra; expected an object"),
        ('{"id": "a"}\n', "has id; expected an object"),
        (hypothesis_line(speaker=None), "'speaker' is null, expected text"),
        (hypothesis_line(id="first"), r"\('greedy', 'clean', 'first'\) already occurred"),
    ],
)
def test_refuses_a_bad_line_by_its_number(tmp_path, line, problem):
    (tmp_path / "hypotheses.jsonl").write_text(hypothesis_line(id="first") + line, encoding="utf-8")
    with pytest.raises(ValueError, match=problem) as refusal:
        score(tmp_path)
    assert f"{tmp_path / 'hypotheses.jsonl'}, line 2: " in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "scores.csv.gz").exists()


def test_refuses_bytes_that_are_not_text(tmp_path):
    (tmp_path / "hypotheses.jsonl").write_bytes(b'{"id": "\xff"}\n')
    with pytest.raises(ValueError, match="line 1: not JSON"):
        score(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"decoder,condition\n", gzip.compress(b"a,b\n1,2\n", mtime=0), gzip.compress(b"\xff\n", mtime=0)]
)
def test_refuses_what_is_not_a_score_table(tmp_path, content):
    (tmp_path / "scores.csv.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"scores\.csv\.gz: not a complete score table") as refusal:
        read_scores(tmp_path / "scores.csv.gz")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("read", [read_scores, read_alignments])
def test_refuses_a_torn_table(tmp_path, read):
    write_scores(tmp_path / "scores.csv.gz", [Score("a", "x", str(i), "s", Alignment("C", 1, 0)) for i in range(99)])
    content = (tmp_path / "scores.csv.gz").read_bytes()
    (tmp_path / "scores.csv.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="not a complete score table"):
        read(tmp_path / "scores.csv.gz")


def test_alignments_are_those_of_the_table(tmp_path):
    letters = {"007": "CC", "a,b": "CSI", 'say "x"': "D"}
    rows = [
        Score(decoder, condition, name, "s", Alignment(text, 9, 3))
        for decoder, condition in (("greedy", "clean"), ("beam", "clean"), ("beam", "0 dB"))
        for name, text in letters.items()
    ]
    write_scores(tmp_path / "scores.csv.gz", rows)
    expected: dict = {}
    for row in read_scores(tmp_path / "scores.csv.gz").to_dict("records"):
        expected.setdefault((row["decoder"], row["condition"]), {})[row["id"]] = row["alignment"]
    found = read_alignments(tmp_path / "scores.csv.gz")
    assert found == expected and found["beam", "0 dB"] == letters


def write_table(path, *lines):
    path.write_bytes(gzip.compress("\n".join([*lines, ""]).encode()))
    return path


def test_a_table_from_before_alignments_were_kept_is_read_without_them(tmp_path):
    path = write_table(tmp_path / "scores.csv.gz", ",".join(COLUMNS[:-1]), "greedy,clean,007,nan,6,1,0,0,21,1")
    table = read_scores(path)
    assert tuple(table.columns) == COLUMNS[:-1]
    assert table.values.tolist() == [["greedy", "clean", "007", "nan", 6, 1, 0, 0, 21, 1]]
    assert read_alignments(path) == {}


@pytest.mark.parametrize(
    "row", ["6,1,0,0,21,1,CCCCCC", "6,0,1,0,21,1,CCCSCC", "6,1,0,0,21,1,CCCSC", "6,1,0,1,21,1,CCCSCC", "1,0,0,0,1,0,x"]
)
def test_refuses_counts_that_are_not_those_of_the_alignment(tmp_path, row):
    path = write_table(tmp_path / "scores.csv.gz", ",".join(COLUMNS), f"greedy,clean,u1,s,{row}")
    problem = r"utterance 'u1' has other counts than its alignment '.*'\); score the run again"
    with pytest.raises(ValueError, match=problem):
        read_scores(path)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "letters"),
    [
        ("今天天气", "今天天汽", "CCCS"),
        ("今天 天气", "今 天天气", "CCCC"),  # blanks are no characters
        ("วันนี้", "วันี้", "CCDCCC"),
        ("ab", "", "DD"),
        ("ab cd", "xab cd", "ICCCC"),
    ],
)
def test_characters_are_counted_where_they_are_the_unit(reference, hypothesis, letters):
    found = align(reference, hypothesis, "characters")
    assert sorted(found.letters) == sorted(letters)
    assert found.characters == found.words == len("".join(reference.split()))
    assert found.character_edits == found.edits
    assert align(reference, hypothesis, "words") == align(reference, hypothesis)


def test_the_unit_of_a_run_reaches_its_score_table(tmp_path):
    row = {"decoder": "beam", "condition": "clean", "id": "u1", "speaker": "s1"}
    row |= {"reference": "今天天气", "hypothesis": "今天天"}
    write_scores(tmp_path / "s.csv.gz", scored([row], "characters"))
    (counted,) = read_scores(tmp_path / "s.csv.gz").to_dict("records")
    assert (counted["words"], counted["deletions"], counted["alignment"]) == (4, 1, "CCCD")
    write_scores(tmp_path / "s.csv.gz", scored([row]))
    assert read_scores(tmp_path / "s.csv.gz").to_dict("records")[0]["alignment"] == "S"
