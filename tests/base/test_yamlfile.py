"""Facts about reading configuration: plain numbers, no key twice, one line of error."""

import tracemalloc
from pathlib import Path

import pytest

from lrsms.base.yamlfile import MOST_BYTES, MOST_DEPTH, merged, parse_yaml, read_yaml


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"mine.yaml: cannot be read"):
        read_yaml(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        ("-2.5e+1", -25.0),
        (".5e0", 0.5),
        ("1", 1),
        ("0.1", 0.1),
        ("e1", "e1"),
        ("1e", "1e"),
        ("010", "010"),  # 8 in YAML 1.1
        ("1:30", "1:30"),  # 90 in YAML 1.1
        ("0x1f", 31),
        ("1_000", 1000),
        ("9" * 101, "9" * 101),
    ],
)
def test_yaml_numbers_with_exponents_are_numbers(text, value):
    read = parse_yaml(f"x: {text}", "x")["x"]
    assert read == value
    assert type(read) is type(value)


def test_a_key_given_twice_is_refused_at_every_depth():
    with pytest.raises(ValueError, match=r"^f: line 3 key 'b' is given twice$"):
        parse_yaml("a:\n  b: 1\n  b: 2", "f")


def bomb(leaf: str, levels: int = 9) -> str:
    """Ten to the power of ``levels`` leaves in some hundred bytes."""
    lines = [f"a0: &a0 {leaf}"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels + 1)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb("x"), "more than 200000 values; configuration has fewer"),
        (bomb("x" * 100_000, 4), "more than 200000 values; configuration has fewer"),
        ("a: &a [*a]", "line 1 '*a' stands for a value that contains it; write the values out"),
        ("a: &a {b: [1, *a]}", "line 1 '*a' stands for a value that contains it; write the values out"),
        ("a: {b: 1}\n<<: {c: 1}", "line 2 merge keys ('<<') are not supported; write the keys out"),
        ("a: !mine 1", "could not determine a constructor for the tag '!mine'; write plain values"),
        ("[" * (MOST_DEPTH + 1), f"more than {MOST_DEPTH} lists or mappings inside one another"),
        ("[" * 5000, f"more than {MOST_DEPTH} lists or mappings inside one another"),
        ("? [1]\n: 2", "a key must be a word, not a list or a mapping"),
        ('a:\n  b: "\\e[31m"', r"line 2 control character U+001B in '\x1b[31m'; remove it"),
        ('"\\u202ea": 1', r"control character U+202E in '\u202ea'; remove it"),
        ("a: " + "x" * MOST_BYTES, "has more than 1 MiB; configuration has less"),
        ("--- 1\n--- 2", "but found another document"),
    ],
)
def test_what_is_no_plain_data_or_too_much_is_refused_before_memory_is_spent(text, message):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as refused:
            parse_yaml(text, "f")
        assert tracemalloc.get_traced_memory()[1] < 64e6
    finally:
        tracemalloc.stop()
    assert message in str(refused.value) and len(str(refused.value).splitlines()) == 1


def test_what_a_program_wrote_twice_is_read_as_often():
    assert parse_yaml("a: &x [1, 2]\nb: *x\nc: [*x, *x]", "f") == {"a": [1, 2], "b": [1, 2], "c": [[1, 2], [1, 2]]}


def test_a_file_without_end_is_not_read_to_it():
    with pytest.raises(ValueError, match=r"^/dev/zero: has more than 1 MiB"):
        read_yaml(Path("/dev/zero"))


def test_elsewhere_one_line_says_where_to_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError, match=r"^workflow/config/x.yaml: cannot be read .*; run in the root folder of "
    ) as it:
        read_yaml(Path("workflow/config/x.yaml"))
    assert str(Path(__file__).parents[2]) in str(it.value) and str(tmp_path) in str(it.value)


def test_what_the_command_line_gives_is_merged_in_the_order_of_the_file():
    """Snakemake's --config has read it, and left what is within a mapping text."""
    content = {"scale": "demo", "decoders": {"greedy": {"kind": "greedy"}, "beam": {"kind": "beam", "beam": 8}}}
    given = {"scale": "010", "decoders": {"beam": {"beam": "16", "end": "espnet"}}, "roots": {"own": "/a: b", "n": "7"}}
    found = merged(content, given)
    assert list(found) == ["scale", "decoders", "roots"] and list(found["decoders"]) == ["greedy", "beam"]
    assert found["decoders"]["beam"] == {"kind": "beam", "beam": 16, "end": "espnet"}
    assert (found["scale"], found["roots"]) == ("010", {"own": "/a: b", "n": 7})
    assert merged({"conditions": {"a": 1}}, {"conditions": [["-5", "null", "1e-3", {"b": "true"}]]}) == {
        "conditions": [[-5, None, 0.001, {"b": True}]]
    }
    assert content["decoders"]["beam"] == {"kind": "beam", "beam": 8}, "the file's content stays"
