"""Reading tensors out of Keras models: names, layers, attention, compiled calls, backends."""
