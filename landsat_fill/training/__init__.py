"""Trains networks: samples of clean scenes under gaps, losses, the loop and its checkpoints."""
