"""Masks made of rectangles, a block at a time."""
