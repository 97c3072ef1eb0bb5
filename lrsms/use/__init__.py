"""What is done with runs once a study has made them: to transcribe, to hand on, to look at, to compare."""
