"""A saved model as a test: what its file holds, read without Keras, and what that tells."""
