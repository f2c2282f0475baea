"""What a saved model is run on, and what that leaves unseen."""
