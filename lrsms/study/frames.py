"""The units of time and space that prepared corpora and networks share."""

SAMPLE_RATE = 16_000
"""Samples per second."""
SAMPLES_PER_FRAME = 640
"""A frame is 40 ms: one picture, one output of the encoder."""
FEATURES_PER_FRAME = 4
"""Log-mel features are 10 ms apart."""
FRAMES_PER_SECOND = SAMPLE_RATE // SAMPLES_PER_FRAME
FEATURES_PER_SECOND = FEATURES_PER_FRAME * FRAMES_PER_SECOND
CROP = 88
"""Height and width of the part of a 96x96 mouth crop that networks get."""
