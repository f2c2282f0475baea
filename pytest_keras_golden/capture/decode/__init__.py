"""Token by token along a golden: causal language models and their prompts."""
