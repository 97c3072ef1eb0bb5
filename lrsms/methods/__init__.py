"""Low rank: for which matrices (``plan``), as what (``linear``), from which start (``inits``); ``factorize`` acts."""
