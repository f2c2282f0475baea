"""Lock files: what each of them pins for one Python and platform."""
