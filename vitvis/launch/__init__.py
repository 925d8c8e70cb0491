"""Devices, ranks, progress and loggers: how work reaches the hardware."""
