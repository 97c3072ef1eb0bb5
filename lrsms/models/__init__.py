"""The networks: plain dense modules. Each matrix is a named ``nn.Linear``, which ``lrsms.methods`` can replace."""
