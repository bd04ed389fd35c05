#!/usr/bin/env python3
"""A net of your own for `htl train`: a function that takes height, width and channels, and returns a torch.nn.Module.

    export PYTHONPATH=examples HTL_TRUST=own_model:small
    htl train rows.jsonl --arch own_model:small -o own.h5 | htl prune -o pruned.h5 | htl score > scored.jsonl

The net takes normalised images, float32 [B, C, H, W], and returns four unbounded numbers for each, [B, 4]. htl converts
them to a box by a sigmoid and an ordering of the edges. Pruning cuts the weights of convolutions and linear
layers. HTL_TRUST, or --trust, lets the commands after train import this file: a checkpoint alone never runs code.

usage: own_model.py [HEIGHT WIDTH]
    prints the number of weights, and the shape of the output
"""

import sys

import torch
from torch import nn


def small(height: int, width: int, channels: int) -> nn.Module:
    """Four convolutions of stride 2, and a linear layer on the last feature map."""
    widths = [channels, 16, 32, 64, 64]
    stages = [
        nn.Sequential(nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())
        for before, after in zip(widths, widths[1:])
    ]
    positions = -(-height // 16) * -(-width // 16)
    return nn.Sequential(*stages, nn.Flatten(), nn.Linear(widths[-1] * positions, 4))


def main() -> None:
    """Build the net, and run it on two images."""
    height, width = map(int, sys.argv[1:3] or (96, 96))
    net = small(height, width, 3)
    output = net(torch.zeros(2, 3, height, width))
    print(f"{sum(weights.numel() for weights in net.parameters())} weights; two images of {height}x{width} give {list(output.shape)}")


if __name__ == "__main__":
    main()
