#!/usr/bin/env python3
"""A real training run to checkpoint: a character-level language model (a small transformer, Adam) in PyTorch.

    /usr/bin/python3 train.py [--steps N] [--workers N] [--threads N]

It learns the text of the GNU General Public License, which every Debian has. Nothing in it knows that it may be
stopped: no save, no load. Every few steps it prints

    epoch 2 step 45 loss 2.1534 0x1.13a2b40000000p+1

the loss also as its exact bits (float.hex()), and at the end a checksum of all weights. Two runs with the same options
on the same machine print the same bits: the seed is fixed, PyTorch's deterministic algorithms are on, and every library
uses one thread (--threads) so that no sum depends on how work was shared out.
"""
import argparse
import hashlib
import os
import pathlib
import sys

arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
arguments.add_argument("--steps", type=int, default=70, help="how many batches to train (70)")
arguments.add_argument("--steps-per-epoch", type=int, default=25, help="how many batches make an epoch (25)")
arguments.add_argument("--print-every", type=int, default=1, help="print the loss every so many steps (1)")
arguments.add_argument("--workers", type=int, default=0, help="processes that prepare batches (0: none)")
arguments.add_argument("--threads", type=int, default=1, help="threads of the numeric libraries (1)")
arguments.add_argument("--layers", type=int, default=6, help="transformer layers; 3.1 million weights each (6)")
arguments.add_argument("--batch", type=int, default=4, help="samples in a batch (4)")
arguments.add_argument("--seed", type=int, default=1)
options = arguments.parse_args()

# Before torch is loaded: its libraries read these once.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = str(options.threads)

try:
    import torch
except ImportError:
    sys.exit(f"train.py: {sys.executable} has no PyTorch; install python3-torch and run this with /usr/bin/python3")
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402

TEXT = pathlib.Path("/usr/share/common-licenses/GPL-3")
CONTEXT = 64  # characters that the model sees
WIDTH = 512


class Characters(Dataset):
    """Every stretch of CONTEXT characters, with the same stretch one character on."""

    def __init__(self, text, count):
        letters = sorted(set(text))
        self.letters = len(letters)
        self.codes = torch.tensor([letters.index(letter) for letter in text])
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        start = index * 977 % (len(self.codes) - CONTEXT - 1)
        stretch = self.codes[start : start + CONTEXT + 1]
        return stretch[:-1], stretch[1:]


class Model(nn.Module):
    def __init__(self, letters):
        super().__init__()
        self.letter = nn.Embedding(letters, WIDTH)
        self.place = nn.Parameter(torch.zeros(CONTEXT, WIDTH))
        layer = nn.TransformerEncoderLayer(
            WIDTH, nhead=8, dim_feedforward=4 * WIDTH, dropout=0.1, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, options.layers)
        self.out = nn.Linear(WIDTH, letters)
        self.register_buffer("future", torch.full((CONTEXT, CONTEXT), float("-inf")).triu(1))

    def forward(self, codes):
        return self.out(self.layers(self.letter(codes) + self.place, self.future))


def checksum(model):
    digest = hashlib.sha256()
    for weights in model.state_dict().values():
        digest.update(weights.numpy().tobytes())
    return digest.hexdigest()[:16]


def main():
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)

    data = Characters(TEXT.read_text(encoding="utf-8"), options.batch * options.steps_per_epoch)
    batches = DataLoader(data, options.batch, shuffle=True, num_workers=options.workers)
    model = Model(data.letters)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)
    measure = nn.CrossEntropyLoss()

    weights = sum(tensor.numel() for tensor in model.parameters())
    print(f"training {weights / 1e6:.1f} million weights for {options.steps} steps", flush=True)
    step = epoch = 0
    while step < options.steps:
        epoch += 1
        for codes, following in batches:
            step += 1
            loss = measure(model(codes).flatten(0, 1), following.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % options.print_every == 0:
                print(f"epoch {epoch} step {step} loss {loss.item():.4f} {loss.item().hex()}", flush=True)
            if step == options.steps:
                break
    print(f"done: weights {checksum(model)}", flush=True)


if __name__ == "__main__":
    main()
