"""Measures of a network at a moment of its life, each a pure function of tensors and samples."""
