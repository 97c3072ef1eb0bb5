"""What lrsms claims of its speed, measured: one file per question, run by ``make bench`` or ``python -m benchmarks``.

A file ``<name>.py`` has a docstring whose first line is the question, and one function
``measure(device, small) -> list[Figure]``. Nothing here is asserted in a test: a test runs the small forms and looks at
what they write, never at a time.
"""
