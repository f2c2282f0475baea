"""Other releases of the package under test: gate, matrix, bisect, and their pages."""
