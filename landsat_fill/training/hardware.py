"""The device a network trains on, and the precision that is fast there."""

from __future__ import annotations

import torch

from landsat_fill.errors import UsageError
from landsat_fill.methods.inference import bfloat16_is_fast

AUTO = "auto"


def training_device(asked: str) -> str:
    """Return the device to train on: what is asked for, never another; `auto` is a GPU where there is one.

    Raises:
        UsageError: If there is no such device.
    """
    if asked == AUTO:
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = asked.partition(":")
    if asked == "cpu":
        return asked
    if kind != "cuda" or (number and not number.isdigit()):
        raise UsageError(f"expected the device auto, cpu, cuda or cuda:N, but got {asked!r}")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) >= gpus:
        raise UsageError(
            f"expected a GPU as {asked}, but torch {torch.__version__} sees {gpus or 'none'}",
            hint="train with --device cpu, or install a torch built for this machine's GPU",
        )
    return asked


def training_precision(asked: str, device: str) -> torch.dtype:
    """Return the type of numbers that layers work in.

    Args:
        asked: `float32`, `bfloat16`, or `auto`: bfloat16 where the device multiplies it fast.
        device: The device.
    """
    if asked == AUTO:
        return torch.bfloat16 if bfloat16_is_fast(device) else torch.float32
    return torch.float32 if asked == "float32" else torch.bfloat16
