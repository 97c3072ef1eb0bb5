"""Code that every package uses: safe writing of files, strict configuration, random streams, devices, provenance."""
