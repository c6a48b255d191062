#!/usr/bin/env python3
"""Draws the losses of runs that branch off one trunk: plot.py OUT.svg NAME=LOG...

The first run is the trunk. What a branch's log has in common with it is drawn once.
"""
import re
import sys

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

LINE = re.compile(r"epoch (\d+) rate (\S+) loss (\S+)")


def read(path):
    with open(path, encoding="utf-8") as file:
        return [(int(epoch), float(loss)) for epoch, _, loss in LINE.findall(file.read())]


def main():
    out, *arguments = sys.argv[1:]
    runs = {name: read(path) for name, _, path in (argument.partition("=") for argument in arguments)}
    (trunk, main_line), *branches = runs.items()
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    axes.plot(*zip(*main_line), color="0.3", linewidth=2.5, label=trunk)
    for name, points in branches:
        shared = sum(1 for mine, theirs in zip(points, main_line) if mine == theirs)
        axes.plot(*zip(*points[max(shared - 1, 0) :]), marker="o", markersize=3, label=name)
    axes.set(xlabel="epoch", ylabel="loss", title="Branches of one training run")
    axes.legend()
    figure.tight_layout()
    figure.savefig(out)


if __name__ == "__main__":
    main()
