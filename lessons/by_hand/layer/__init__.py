"""Layers with weights: `connect_layers` has the dense layer."""
