"""An outermost call recorded so that it can be made again, and each layer isolated."""
