"""Torch modules that predict the missing pixels of normalised tiles, and their weights.

Modules that define networks import torch at their top, so they are imported only where a network is needed.
"""
