"""The course: ten lessons, from one neuron to the framework; `lessons/README.md` is the map."""
