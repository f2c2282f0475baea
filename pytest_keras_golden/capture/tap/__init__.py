"""Which tensors of a call are worth keeping, in which precision, and how much of them."""
