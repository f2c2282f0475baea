"""Releases, and folders in which one of them stands before what is installed."""
