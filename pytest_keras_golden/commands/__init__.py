"""The subcommands of `keras-golden`, one module each.

A module exposes `add_parser(subparsers)`, which declares its arguments and sets `handler`, a
function from parsed arguments to the exit code. Modules import nothing heavy until they run.
"""
