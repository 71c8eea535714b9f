"""Ways from evidence to class probabilities, each a small module behind one interface."""
