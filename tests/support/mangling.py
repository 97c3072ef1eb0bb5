"""Good files with a few places replaced by what trips readers."""

import signal
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = pytest.mark.parametrize("examples", [100, pytest.param(3_000, marks=pytest.mark.slow)])
SECONDS = 10

# What trips readers: quotes, anchors, references, tags, signs, numbers that are none or have no end, paths that leave.
# fmt: off
TOKENS = [
    "'", '"', "{", "}", "[", "]", ":", ": ", "- ", "&a ", "*a", "!!python/object/apply:os.system ", "!!int ", "|\n", "",
    "\t", "\n", "\r", "\r\n", "\0", "\u2028", "\ufeff", "\ud7ff", "#", "%", "@", "`", "? ", "<<: ", "---\n", "...",
    ".nan", "-.inf", "1e999", "1e-3", "0x", "1_0", "null", "~", "true", "2001-01-01", "-1", "9" * 40, "1:30:00", "é",
    "../", "/", "/etc/passwd", "..", ".mp4", ",", ", ", " ", "train", "lowrank.ratio", "model", "$(true)",
]
# fmt: on


@st.composite
def mangled(draw: st.DrawFn, text: str) -> bytes:
    """The bytes of a good file with a few places replaced; at times any bytes at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=60))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        length = draw(st.sampled_from([0, 0, 1, 2, 5, 20]))
        put = draw(st.sampled_from(TOKENS) | st.text(max_size=6))
        text = text[:start] + put + text[start + length :]
    data = text.encode("utf-8", errors="replace")
    if draw(st.integers(0, 19)) == 0:
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(min_size=1, max_size=3)) + data[at:]
    return data


def fuzz(text: str, read: Callable[[bytes], object], examples: int) -> None:
    """Reads mangled versions of a good file; every answer is a value or a ``ValueError`` of one line, and soon."""
    read(text.encode())
    refused = 0

    def out_of_time(*_: object) -> None:
        raise TimeoutError(f"a reader took more than {SECONDS} s")

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(mangled(text))
    def check(data: bytes) -> None:
        nonlocal refused
        signal.alarm(SECONDS)
        try:
            read(data)
        except ValueError as error:
            refused += 1
            message = str(error)
            assert type(error) is ValueError, type(error)
            assert message and not set("\n\r") & set(message), message
        finally:
            signal.alarm(0)

    before = signal.signal(signal.SIGALRM, out_of_time)
    try:
        check()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert refused > examples / 10  # or the fuzz is too mild to find anything
