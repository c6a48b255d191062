#!/usr/bin/env python3
"""A small training run that reads its learning rate from a file at the start of each epoch.

    /usr/bin/python3 train.py [EPOCHS]

Reads rate.txt in the current directory, prints a line for each epoch and tells Holdfast where it stands.
"""
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
import torch  # noqa: E402
from torch import nn  # noqa: E402

TEXT = "/usr/share/common-licenses/GPL-3"
CONTEXT, WIDTH, BATCH, BATCHES = 12, 96, 64, 240


def samples(codes, generator):
    """Stretches of text, and the character that follows each."""
    for _ in range(BATCHES):
        starts = torch.randint(len(codes) - CONTEXT, (BATCH,), generator=generator)
        yield torch.stack([codes[start : start + CONTEXT] for start in starts]), codes[starts + CONTEXT]


def note(line):
    if "HOLDFAST_NOTE" in os.environ:
        with open(os.environ["HOLDFAST_NOTE"], "w", encoding="utf-8") as file:
            file.write(line)


def main():
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 24
    torch.manual_seed(1)
    torch.set_num_threads(1)
    with open(TEXT, encoding="utf-8") as file:
        text = file.read()
    letters = sorted(set(text))
    codes = torch.tensor([letters.index(letter) for letter in text])
    generator = torch.Generator().manual_seed(1)
    model = nn.Sequential(
        nn.Embedding(len(letters), 16), nn.Flatten(), nn.Linear(16 * CONTEXT, WIDTH), nn.ReLU(), nn.Linear(WIDTH, len(letters))
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    for epoch in range(1, epochs + 1):
        with open("rate.txt", encoding="utf-8") as file:
            rate = float(file.read())
        for group in optimizer.param_groups:
            group["lr"] = rate
        total = 0.0
        for context, following in samples(codes, generator):
            loss = nn.functional.cross_entropy(model(context), following)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch} rate {rate:g} loss {total / BATCHES:.4f}", flush=True)
        note(f"epoch={epoch} rate={rate:g} loss={total / BATCHES:.4f}\n")


if __name__ == "__main__":
    main()
