"""A static site from results: plain HTML, CSS and inline SVG, which opens from a file."""
