"""Tensors on their way to the host: from eager calls, programs and methods of models."""
