"""Models in the formats of other programs. Each format is a package of its own."""
