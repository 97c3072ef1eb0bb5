"""Facts about reading configuration: plain numbers, no key twice, one line of error."""

import pytest

from lrsms.yamlfile import parse_yaml, read_yaml


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
    ],
)
def test_yaml_numbers_with_exponents_are_numbers(text, value):
    read = parse_yaml(f"x: {text}", "x")["x"]
    assert read == value
    assert type(read) is type(value)


def test_a_key_given_twice_is_refused_at_every_depth():
    with pytest.raises(ValueError, match=r"^f: line 3 key 'b' is given twice$"):
        parse_yaml("a:\n  b: 1\n  b: 2", "f")
