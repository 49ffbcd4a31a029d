"""PyTorch's files: `pickles` rebuilds what they describe, `archives` opens the two formats."""
