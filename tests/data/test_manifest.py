"""Facts about manifests: what is read back, and every line that refuses one."""

from pathlib import Path

import pytest

from lrsms.data.corpora.manifest import utterances
from lrsms.data.manifest import read_tsv, resolve_inside, write_tsv
from lrsms.study.corpus import Manifest

CORPUS = Manifest(kind="manifest", name="mine")
HEADER = "id\tsplit\taudio\tvideo\tspeaker\ttext"
GOOD = [
    HEADER,
    "a\ttrain\ta.wav\t\ts1\tbin blue",
    "b\tvalid\tb.wav\t\ts1\tlay red",
    "c\ttest\tc.wav\tc.mp4\t\tset white",
]


def read(root: Path, lines: list[str]) -> list:
    (root / "manifest.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return list(utterances(CORPUS, root, root / "rendered"))


def test_a_manifest_is_read_in_order_with_paths_below_its_root(tmp_path):
    rows = read(tmp_path, GOOD)
    assert [(row.id, row.split, row.speaker, row.text) for row in rows] == [
        ("a", "train", "s1", "bin blue"),
        ("b", "valid", "s1", "lay red"),
        ("c", "test", "", "set white"),
    ]
    assert rows[0].audio == tmp_path / "a.wav"
    assert rows[0].video is None
    assert rows[2].video == tmp_path / "c.mp4"
    assert not (tmp_path / "rendered").exists()


def test_the_box_is_where_the_mouth_is_in_every_video(tmp_path):
    (tmp_path / "manifest.tsv").write_text("\n".join(GOOD))
    boxed = CORPUS.model_copy(update={"box": (114, 165, 96, 96)})
    rows = list(utterances(boxed, tmp_path, tmp_path))
    assert [row.box for row in rows] == [None, None, (114, 165, 96, 96)]
    assert [row.box for row in utterances(CORPUS, tmp_path, tmp_path)] == [None, None, None]


def test_audio_may_be_the_track_of_the_same_file_as_the_video(tmp_path):
    row = read(tmp_path, [*GOOD, "d\ttrain\td.mp4\td.mp4\t\tx"])[3]
    assert row.audio == row.video == tmp_path / "d.mp4"


def test_column_order_extra_columns_byte_order_mark_and_line_ends_do_not_matter(tmp_path):
    expected = read(tmp_path, GOOD)
    cells = [line.split("\t") for line in GOOD]
    shuffled = ["\t".join([*reversed(row), "note"]) for row in cells]
    (tmp_path / "manifest.tsv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*shuffled, ""]).encode())
    assert list(utterances(CORPUS, tmp_path, tmp_path)) == expected


def test_text_may_hold_any_character_but_tabs_and_line_breaks(tmp_path):
    text = 'a "quoted" \u2028 \x85 \x0b word, l\u00e0'
    assert read(tmp_path, [*GOOD, f"d\ttrain\td.wav\t\t\t{text}"])[3].text == text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('"lay red, now"', "lay red, now"),
        ('"she said ""now"" to me"', 'she said "now" to me'),
        ('"""now"""', '"now"'),
        ('""', ""),
        ('say "now" to me', 'say "now" to me'),
        ('"now" and "then"', '"now" and "then"'),  # no cell in quotes: they are not doubled
        ('12" vinyl', '12" vinyl'),
    ],
)
def test_the_quotes_of_a_spreadsheet_are_taken_off_cells(tmp_path, cell, text):
    assert read(tmp_path, [*GOOD, f"d\ttrain\td.wav\t\t\t{cell}"])[3].text == text


def test_a_table_with_all_cells_in_quotes_is_read_like_one_without(tmp_path):
    expected = read(tmp_path, GOOD)
    assert read(tmp_path, ["\t".join(f'"{cell}"' for cell in line.split("\t")) for line in GOOD]) == expected


def test_a_prepared_manifest_keeps_quotes_that_are_part_of_a_text(tmp_path):
    write_tsv(tmp_path / "x.tsv", ("id", "split", "text"), [("a", "train", '"now"')])
    assert read_tsv(tmp_path / "x.tsv", ("id", "split", "text"))[0].cells["text"] == '"now"'


def test_what_is_written_is_read_back(tmp_path):
    columns = ("id", "split", "text")
    write_tsv(tmp_path / "x.tsv", columns, [("a", "train", "\u00e9t\u00e9 2"), ("b", "test", "")])
    rows = read_tsv(tmp_path / "x.tsv", columns)
    assert [tuple(row.cells.values()) for row in rows] == [("a", "train", "\u00e9t\u00e9 2"), ("b", "test", "")]
    with pytest.raises(ValueError, match="'a' holds a tab"):
        write_tsv(tmp_path / "x.tsv", columns, [("a", "train", "one\ttwo")])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], r"manifest.tsv: is empty"),
        ([HEADER], r"manifest.tsv: has a header but no utterance"),
        (["id\tsplit\taudio\tvideo\ttext", "a\ttrain\ta.wav\t\tx"], r"manifest.tsv: has no column 'speaker'"),
        ([HEADER + "\tid", "a\ttrain\ta.wav\t\t\tx\tb"], r"manifest.tsv: names a column twice"),
        ([*GOOD, "a\ttrain\td.wav\t\ts1\tx"], r"manifest.tsv line 5: id 'a' is already on line 2"),
        ([*GOOD, "d\ttrain\td.wav\ts1\tx"], r"manifest.tsv line 5: has 5 cells where the header has 6"),
        ([*GOOD, 'd\ttrain\td.wav\t\ts1\t"one', 'two"'], r"line 6: has 1 cells .*; a quote is open: no cell may hold"),
        ([*GOOD, 'd\ttrain\td.wav\t\ts1\t"one\ttwo"'], r"line 5: has 7 cells where the header has 6$"),
        ([*GOOD, "d\tdev\td.wav\t\ts1\tx"], r"manifest.tsv line 5: split is 'dev'; .* train, valid, test"),
        ([*GOOD, "../d\ttrain\td.wav\t\ts1\tx"], r"manifest.tsv line 5: id '../d' must be"),
        ([*GOOD, "\ttrain\td.wav\t\ts1\tx"], r"manifest.tsv line 5: id '' must be"),
        ([*GOOD, "d\ttrain\t../d.wav\t\ts1\tx"], r"line 5: audio: '../d.wav' lies outside"),
        ([*GOOD, "d\ttrain\td.wav\t/etc/passwd\ts1\tx"], r"line 5: video: '/etc/passwd' lies outside"),
        ([*GOOD, "d\ttrain\td\0.wav\t\ts1\tx"], r"line 5: audio: .* is not a path"),
        (GOOD[:2] + GOOD[3:], r"manifest.tsv: no utterance of split 'valid'"),
        ([*GOOD, "d\ttest\tb.wav\t\ts1\tx"], r"line 5: b.wav of split 'test' is also 'b' of split 'valid'"),
        ([*GOOD, "d\ttrain\tc.mp4\t\ts1\tx"], r"line 5: c.mp4 of split 'train' is also 'c' of split 'test'"),
        ([*GOOD, "d\ttest\tx/../b.wav\t\ts1\tx"], r"line 5: b.wav of split 'test' is also 'b' of split 'valid'"),
    ],
)
def test_a_bad_manifest_is_refused_in_one_line_naming_file_and_line(tmp_path, lines, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, lines)
    assert "\n" not in str(caught.value)


def test_text_that_is_not_utf_8_is_refused(tmp_path):
    (tmp_path / "manifest.tsv").write_bytes((HEADER + "\na\ttrain\ta.wav\t\t\tcaf").encode() + b"\xe9\n")
    with pytest.raises(ValueError, match=r"manifest.tsv: not UTF-8 text \(byte \d+\)"):
        utterances(CORPUS, tmp_path, tmp_path)


def test_a_link_out_of_the_root_is_refused_and_one_within_is_not(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.wav").touch()
    (root / "out.wav").symlink_to(tmp_path / "secret.wav")
    (root / "real.wav").touch()
    (root / "in.wav").symlink_to(root / "real.wav")
    (root / "loop.wav").symlink_to(root / "loop.wav")
    assert resolve_inside(root, "in.wav", "here") == root / "real.wav"
    assert resolve_inside(root, str(root / "real.wav"), "here") == root / "real.wav"
    with pytest.raises(
        ValueError, match=r"^here: 'out.wav' lies outside .*: 'out.wav' is a symbolic link to .*secret.wav;"
    ):
        resolve_inside(root, "out.wav", "here")
    (tmp_path / "away").mkdir()
    (root / "clips").symlink_to(tmp_path / "away")
    with pytest.raises(
        ValueError, match=r"'clips/a.wav' lies outside .*: 'clips' is a symbolic link to .*away; copy"
    ) as caught:
        resolve_inside(root, "clips/a.wav", f"{root / 'manifest.tsv'} line 3: audio")
    assert f"put {root / 'manifest.tsv'} into a folder that holds both and give that one in 'roots'" in str(
        caught.value
    )
    with pytest.raises(ValueError, match=r"^here: '../secret.wav' lies outside .*; give paths inside it$"):
        resolve_inside(root, "../secret.wav", "here")
    linked = tmp_path / "linked"
    linked.symlink_to(root)
    assert resolve_inside(linked, "real.wav", "here") == root / "real.wav"


def test_a_missing_or_empty_root_names_the_key_and_how_to_give_it(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.wav").touch()
    cases = {None: "not set", "absent": "is not a folder", "empty": "is empty", "other": "holds no manifest.tsv"}
    for name, message in cases.items():
        with pytest.raises(ValueError, match=rf"^roots\.mine: .*{message}") as caught:
            utterances(CORPUS, tmp_path / name if name else None, tmp_path)
        assert "--config roots='{mine: /path/to/folder}'" in str(caught.value)


@pytest.mark.parametrize("name", ["grid_s1", "speechocean762", "arabic_strings"])
def test_real_corpora_are_read(name):
    root = Path(__file__).parents[3] / "shared/data" / name
    if not root.is_dir():
        pytest.skip(f"{name} does not lie beside this checkout")
    rows = list(utterances(CORPUS, root, root))
    assert len(rows) == {"grid_s1": 1_000, "speechocean762": 1_340, "arabic_strings": 2_400}[name]
    assert all(row.audio is not None and row.audio.is_file() for row in rows)
    assert all((row.video is not None and row.video.is_file()) == (name == "grid_s1") for row in rows)
