"""Other releases of the package under test: index, overlays, gate, matrix, bisect."""
