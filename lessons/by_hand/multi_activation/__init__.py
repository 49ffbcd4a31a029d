"""Activation functions: `activation` has ReLU, sigmoid and softmax."""
