"""Cutting a trained network to a ticket: score, select, rewind."""
