"""What scripts and notebooks call: goldens read, calls captured and compared, without pytest."""
