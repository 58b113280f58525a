"""What generators learn from bulk profiles and reference cells; every estimate is a small NumPy array."""
