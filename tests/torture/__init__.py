"""Checks by the hundred, each a script with a seed; the suite runs a share of them."""
