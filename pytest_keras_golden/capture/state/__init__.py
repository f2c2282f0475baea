"""What calls run with beside their inputs: weights, variables, generators, masks."""
