"""Methods: what takes the place of a matrix, and what is done to it in training; ``lowrank.method.name`` is a file.

Each file is one class, derived from ``lrsms.study.method.Method``; it loads no PyTorch until its functions are called.
"""
