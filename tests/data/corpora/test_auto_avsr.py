"""Facts about corpora as Auto-AVSR prepares them: what a line of labels means, and every refusal."""

import operator
from pathlib import Path

import fabricate_corpora
import pytest
import soundfile

from lrsms.data import video
from lrsms.data.corpora.auto_avsr import read_units, utterances
from lrsms.data.utterance import Utterance
from lrsms.study import corpus

CORPUS = corpus.AutoAvsr(
    kind="auto_avsr", name="lrs3", train=("a.csv", "b.csv"), valid=("v.csv",), test=("t.csv",), units="units.txt"
)
LISTS = {
    "a.csv": ["lrs3,lrs3_video_seg16s/pretrain/Vid-1_x/00001_00.mp4,10,4 3 5", "lrs2,main/51/00007.mp4,10,6 2 3"],
    "b.csv": ["avspeech,avspeech_video_seg16s/z9.mp4,10,8 7"],
    "v.csv": ["lrs3,lrs3_video_seg16s/trainval/v2/00001.mp4,10,9 9"],
    "t.csv": ["lrs3,lrs3_video_seg16s/test/v3/00001.mp4,10,1 5 1"],
}


def rows(root: Path, lists: dict[str, list[str]], recorded: bool = False) -> list[Utterance]:
    fabricate_corpora.write_auto_avsr(root, lists, recorded)
    return list(utterances(CORPUS, root, root / "rendered"))


def test_every_line_of_every_list_is_a_clip_with_its_sound_beside_it(tmp_path):
    found = rows(tmp_path, LISTS, recorded=True)
    assert [(row.split, row.speaker, row.text) for row in found] == [
        ("train", "Vid-1_x", "BINS BLUE"),
        ("train", "51", "LAY'S"),
        ("train", "", "SET RED"),
        ("valid", "v2", "WHITE WHITE"),
        ("test", "v3", "\ufffd BLUE\ufffd"),
    ]
    assert found[0].id == "lrs3-lrs3_video_seg16s-pretrain-Vid-1_x-00001_00"
    for row in found:
        assert row.video.relative_to(tmp_path).suffix == ".mp4"
        assert row.audio == row.video.with_suffix(".wav")
        assert row.box is None
        assert len(video.read(row.video).frames) == fabricate_corpora.NUM_FRAMES
        assert soundfile.info(row.audio).frames == 640 * fabricate_corpora.NUM_FRAMES


def test_nothing_is_opened_or_copied_and_the_number_of_clips_is_known(tmp_path):
    fabricate_corpora.write_auto_avsr(tmp_path, LISTS, recorded=False)
    before = sorted(tmp_path.rglob("*"))
    found = utterances(CORPUS, tmp_path, tmp_path / "rendered")
    assert operator.length_hint(found) == 5
    next(found)
    assert operator.length_hint(found) == 4
    assert len(list(found)) == 4
    assert sorted(tmp_path.rglob("*")) == before


def test_blanks_after_commas_and_line_ends_do_not_matter(tmp_path):
    expected = rows(tmp_path / "x", LISTS)
    spaced = {name: [line.replace(",", ", ") + "\r" for line in lines] for name, lines in LISTS.items()}
    fields = [(row.id, row.split, row.text) for row in rows(tmp_path / "y", spaced)]
    assert fields == [(row.id, row.split, row.text) for row in expected]


def test_ids_are_unique_and_of_plain_letters_whatever_the_paths(tmp_path):
    paths = ["a/b-c.mp4", "a-b/c.mp4", "a/caf\u00e9 1.mp4", "a/caf\u00e8 1.mp4", "a/b-c.mp4"]
    found = rows(tmp_path, {**LISTS, "a.csv": [f"d,{path},10,4" for path in paths]})
    assert [row.id for row in found[:5]] == ["d-a-b-c", "d-a-b-c.2", "d-a-caf__1", "d-a-caf__1.2", "d-a-b-c.3"]
    assert found[3].video == tmp_path / "d/a/caf\u00e8 1.mp4"


def test_units_are_numbered_from_1_by_their_lines(tmp_path):
    path = tmp_path / "units.txt"
    path.write_text("<unk> 1\n' 2\n\u2581ZOO 3\n", encoding="utf-8")
    assert read_units(path) == {"1": "\ufffd", "2": "'", "3": "\u2581ZOO"}
    path.write_text("<unk> 1\n\u2581ZOO 3\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"units.txt line 2: '\u2581ZOO 3' is not a piece, a blank and 2"):
        read_units(path)
    path.write_text("<unk>\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"units.txt line 1: '<unk>' is not a piece, a blank and 1"):
        read_units(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("d,x.mp4,10", "has 3 cells, not the 4 of dataset,path,frames,tokens"),
        ("d,x,y.mp4,10,4", "has 5 cells"),
        ("", "has 1 cells"),
        ("d,x.mp4,10,4 10", "token '10' is not one of the 9 units"),
        ("d,x.mp4,10,4 0", "token '0' is not one of the 9 units"),
        ("d,x.mp4,10,BIN", "token 'BIN' is not one of the 9 units"),
        ("d,x.mp4,1.5,4", r"frames are '1\.5'; a number is needed"),
        ("d,x.avi,10,4", r"'x\.avi' is not an \.mp4 file"),
        ("d,../x.mp4,10,4", r"'d/\.\./x\.mp4' lies outside the corpus folder"),
        ("d,/x.mp4,10,4", "'d//x.mp4' lies outside the corpus folder"),
        ("/d,x.mp4,10,4", "'/d/x.mp4' lies outside the corpus folder"),
        (",x.mp4,10,4", "'/x.mp4' lies outside the corpus folder"),
    ],
)
def test_a_malformed_line_is_refused_at_the_call_by_file_and_number(tmp_path, line, message):
    fabricate_corpora.write_auto_avsr(tmp_path, {**LISTS, "v.csv": [*LISTS["v.csv"], line, "d,z.mp4,10,4"]}, False)
    with pytest.raises(ValueError, match=rf"labels/v\.csv line 2: {message}") as caught:
        utterances(CORPUS, tmp_path, tmp_path)
    assert "\n" not in str(caught.value)


def test_validation_is_never_the_test_list_nor_any_clip_of_another_split(tmp_path):
    fabricate_corpora.write_auto_avsr(tmp_path, LISTS, recorded=False)
    same = CORPUS.model_copy(update={"valid": ("t.csv",)})
    with pytest.raises(ValueError, match=r"t\.csv line 1: .*v3/00001 of split 'test' is also line 1 of t\.csv, of"):
        utterances(same, tmp_path, tmp_path)
    (tmp_path / "labels/v.csv").write_text("\n".join([*LISTS["v.csv"], LISTS["b.csv"][0]]))
    with pytest.raises(
        ValueError, match=r"v\.csv line 2: .*z9 of split 'valid' is also line 1 of b\.csv, of .*'train'"
    ):
        utterances(CORPUS, tmp_path, tmp_path)


def test_missing_lists_units_and_roots_are_named(tmp_path):
    for root, message in {None: "not set", tmp_path: "is empty", tmp_path / "no": "is not a folder"}.items():
        with pytest.raises(
            ValueError, match=rf"^roots\.lrs3: .*{message}; give .*labels with --config roots='{{lrs3: "
        ):
            utterances(CORPUS, root, tmp_path)
    fabricate_corpora.write_auto_avsr(tmp_path / "root", LISTS, recorded=False)
    for name in ("labels/v.csv", "units.txt"):
        (tmp_path / "root" / name).write_bytes(b"\xff")
        with pytest.raises(ValueError, match=rf"{name}: not UTF-8 text"):
            utterances(CORPUS, tmp_path / "root", tmp_path)
        (tmp_path / "root" / name).write_text("")
        with pytest.raises(ValueError, match=rf"{name}: is empty"):
            utterances(CORPUS, tmp_path / "root", tmp_path)
        (tmp_path / "root" / name).unlink()
        with pytest.raises(ValueError, match=rf"{name}: cannot be read \(No such file or directory\)"):
            utterances(CORPUS, tmp_path / "root", tmp_path)
