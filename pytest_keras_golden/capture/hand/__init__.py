"""Trainings by hand: steps that a test makes itself, around an optimizer and its losses."""
