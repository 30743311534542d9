"""Vectors of words, maps between them, and word alignments."""
