"""Calls of layers and operations, seen as they happen and named by structure."""
