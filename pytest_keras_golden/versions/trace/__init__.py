"""What an inner run read and met, as evidence that its answer may be used again."""
