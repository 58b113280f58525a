"""The parts of a study by name."""
