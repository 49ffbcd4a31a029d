"""Models: `main_model` has the model and the optimizer that trains it."""
