"""One file per initialisation of the factors; its name is the value of ``lowrank.init``.

A file ``<name>.py`` has one function, ``factors(weight, rank, scheme, generator)``, from the dense initial ``W (m, n)``
to ``U (m, r)`` and ``V^T (r, n)``. Where these have nothing of ``W``, it says ``DISCARDS_MATRIX = True``.
"""
