"""Training samples per CPU second of the token-only arm, beside the origin's trainer written out plainly.

    python benchmarks/fluxem_throughput.py

Both train the same width (128, 2 layers, 4 heads, about 0.42 M parameters) on the same two-digit problems with
batches of 32, one thread, turn about. The plain trainer follows the published description: every sample padded
to 64 characters, cross-entropy on every position that is not padding (prompt included), characters looked up
and tensors made anew for each sample in each epoch, a post-norm encoder with a causal mask, Adam.

The bar is 8 times 233 samples per CPU second, the origin's own speed where it was first measured. How far one
can go is set by arithmetic: multiplications per sample over what this core multiplies in a large matrix product.
"""

from __future__ import annotations

import math
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from quadrat import Context
from quadrat_studies.fluxem.config import Config
from quadrat_studies.fluxem.data import build_data, read_split
from quadrat_studies.fluxem.experiment import Samples, Training, epoch_order
from quadrat_studies.fluxem.model import build

ORIGIN = 233.0
BAR = 8.0
LENGTH = 64
BATCH = 32
ROUNDS = 5
CHARACTERS = "0123456789+-*/. =<>[]abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_,()"[:79]


class PlainSamples(Dataset):
    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        row = self.rows[index]
        text = f"{row['text']}={float(row['target_value'])}"
        ids = [CHARACTERS.index(symbol) + 2 if symbol in CHARACTERS else 1 for symbol in text][:LENGTH]
        ids += [0] * (LENGTH - len(ids))
        return torch.tensor(ids[:-1]), torch.tensor(ids[1:])


class PlainNet(nn.Module):
    def __init__(self, h=128, layers=2, heads=4, dropout=0.1):
        super().__init__()
        self.h = h
        self.embedding = nn.Embedding(81, h)
        place = torch.arange(LENGTH)[:, None] * torch.exp(torch.arange(0, h, 2) * (-math.log(1e4) / h))
        self.register_buffer("place", torch.stack([place.sin(), place.cos()], -1).flatten(1))
        layer = nn.TransformerEncoderLayer(h, heads, 4 * h, dropout, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(h, 81)

    def forward(self, x):
        mask = torch.triu(torch.ones(x.shape[1], x.shape[1], dtype=torch.bool), 1)
        x = self.dropout(self.embedding(x) * math.sqrt(self.h) + self.place[: x.shape[1]])
        return self.head(self.layers(x, mask=mask))


def plain(rows):
    """A callable that trains the plain net for ``steps`` batches."""
    torch.manual_seed(0)
    net = PlainNet().train()
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    loader = DataLoader(PlainSamples(rows), batch_size=BATCH, shuffle=True)

    def run(steps: int) -> None:
        for _, (x, y) in zip(range(steps), loader, strict=False):
            optimiser.zero_grad()
            logits = net(x)
            nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=0).backward()
            optimiser.step()

    return run, sum(p.numel() for p in net.parameters())


def ours(rows, folder: Path):
    """The same for the study's token-only arm: its own training loop, checkpoints and logging left out."""
    config = Config.model_validate({"training": {"batch_size": BATCH}})
    model = build(config.model, seed=0, operands=[]).train()
    samples = Samples.of(rows, config, "cpu")
    context = Context(seed=0, device="cpu", data=folder, scratch=folder)
    training = Training(config, context, model=model, samples=samples)
    batches = epoch_order(len(rows), seed=0, epoch=0).split(BATCH)

    def run(steps: int) -> None:
        for step in range(steps):
            training.update(batches[step % (len(batches) - 1)])

    return run, sum(p.numel() for p in model.parameters()), operations(model, samples)


def operations(model, samples) -> float:
    """Floating-point operations of the matrix products of one training sample; attention's own are below 2 %."""
    h, columns = model.config.hidden_dim, samples.prompts.tokens.shape[1] + samples.targets.tokens.shape[1] - 1
    reads = samples.targets.tokens.shape[1]
    whole, last = 12 * h * h * columns, 10 * h * h * reads + 2 * h * h * columns
    return 6.0 * (whole * (model.config.num_layers - 1) + last)


def core_speed() -> float:
    """Operations per second of one large matrix product: what this core can do."""
    a = torch.randn(1024, 1024)
    best = math.inf
    for _ in range(8):
        start = time.process_time()
        a @ a
        best = min(best, time.process_time() - start)
    return 2 * 1024**3 / best


def samples_per_second(run, steps: int) -> float:
    start = time.process_time()
    run(steps)
    return steps * BATCH / (time.process_time() - start)


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_data(Config(), folder)
        rows = read_split(folder, "train")
        slow, slow_size = plain(rows)
        fast, fast_size, flops = ours(rows, folder)
        slow(3), fast(10)
        pairs = [(samples_per_second(slow, 12), samples_per_second(fast, 120)) for _ in range(ROUNDS)]
    origin, mine = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    limit = core_speed() / flops
    print(f"plain trainer   {slow_size:7,} parameters  {origin:8.0f} samples / CPU-s")
    print(f"token_only      {fast_size:7,} parameters  {mine:8.0f} samples / CPU-s   {ratio:.1f} x the plain trainer")
    print(
        f"arithmetic: {flops / 1e6:.1f} MFLOP a sample, this core {limit * flops / 1e9:.0f} GFLOP/s in a large product:"
    )
    print(f"            at most {limit:.0f} samples / CPU-s; {mine / limit:.0%} of that is reached")
    verdict = "met" if mine >= BAR * ORIGIN else "MISSED"
    print(f"bar: {BAR:.0f} x {ORIGIN:.0f} = {BAR * ORIGIN:.0f}; {verdict} ({mine / ORIGIN:.1f} x {ORIGIN:.0f})")


if __name__ == "__main__":
    main()
