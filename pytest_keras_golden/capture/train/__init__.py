"""What a training step computes: its batch, loss, gradients, update, state and metrics."""
