"""Reading tensors out of Keras models, block by block and call by call."""
