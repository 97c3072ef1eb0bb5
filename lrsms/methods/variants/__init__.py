"""Methods: each says what replaces a matrix, and what is done to it in training. ``lowrank.method.name`` names a file.

Each file has one class, derived from ``lrsms.study.method.Method``. It loads no PyTorch until its functions are called.
"""
