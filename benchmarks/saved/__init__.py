"""Architectures to save, and the child processes that save and judge them under one release."""
