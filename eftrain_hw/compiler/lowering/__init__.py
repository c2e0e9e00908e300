"""Network to operations and tensors, by topic."""
