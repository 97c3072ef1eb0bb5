"""Measures the speed that lrsms claims: one file for each question; run ``make bench`` or ``python -m benchmarks``.

A file ``<name>.py`` has a docstring whose first line is the question, and one function
``measure(device, small) -> list[Figure]``. Tests run the small forms and check the files
that they write, but never a time.
"""
