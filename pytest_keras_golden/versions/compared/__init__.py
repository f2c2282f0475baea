"""Runs of a suite beside its recording: verdicts, and what is repeated before they are said."""
