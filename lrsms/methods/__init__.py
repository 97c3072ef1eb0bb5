"""Low rank: ``plan`` selects matrices, ``inits`` start factors, ``variants`` are the methods; ``build`` joins them."""
