"""What every part needs: files that are whole or absent, strict configuration, random streams, devices, provenance."""
