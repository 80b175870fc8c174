"""Masks made of rectangles."""
