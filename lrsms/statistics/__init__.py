"""Effects and their intervals: paired random-effects models, bootstrap, MAPSSWE and power."""
