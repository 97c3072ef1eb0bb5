"""Low rank: which matrices (``plan``), from which start (``inits``), as what (``variants``); ``build`` joins them."""
