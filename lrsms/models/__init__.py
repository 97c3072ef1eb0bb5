"""The networks: plain dense modules whose every matrix is a named ``nn.Linear``, to be swapped by ``lrsms.methods``."""
