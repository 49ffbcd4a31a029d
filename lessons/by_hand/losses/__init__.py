"""Loss functions: `loss` has the cross-entropies, alone and merged with their activations."""
