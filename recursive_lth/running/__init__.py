"""A training inside a run that can be stopped: stages, checkpoints, folder, clock, progress."""
