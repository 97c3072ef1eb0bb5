"""Low-rank weights: which matrices (``plan``), as what (``linear``), starting where (``init``), put in by ``factorize``."""
