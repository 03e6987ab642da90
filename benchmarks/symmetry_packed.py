"""Training steps of many small Mambas at once, beside the same models trained one after the other.

    python benchmarks/symmetry_packed.py             the bars: 18 replicas, batch 32, 2 layers
    python benchmarks/symmetry_packed.py --curve     1, 3, 6, 18, 30, 90 replicas at batch 16, 32, 64
    python benchmarks/symmetry_packed.py --compile   the same pack through torch.compile
    python benchmarks/symmetry_packed.py --device cuda --replicas 90

The plain model is what one would write: an ``nn.Module`` with a grouped ``nn.Conv1d``, every position computed, the
state space as two products (so that the comparison is about packing and the convolution, not about a slow scan), AdamW
and gradient clipping from torch. Both train 2 layers of width 32 with a state of 128 on sequences of 9, on one thread.

Times are CPU seconds, taken turn about, and ratios are medians over the turns, so that other work on the machine
disturbs both alike. The floor is the time of the products alone: nothing that computes the same can be faster.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from torch import nn
from torch.nn import functional as F

from quadrat import Context
from quadrat.tensor.compiled import compiled as quadrat_compiled
from quadrat_studies.symmetry.config import Config
from quadrat_studies.symmetry.data import build_data
from quadrat_studies.symmetry.training import Pack

BARS = {"eager": 3.0, "compiled": 4.0, "own R = 1": 1.3, "cuda": 30.0}
SIZES = (1, 3, 6, 18, 30, 90)
BATCHES = (16, 32, 64)
TURNS = 7


class PlainBlock(nn.Module):
    def __init__(self, d=32, inner=64, state=128, taps=4):
        super().__init__()
        self.widths, self.parts = [inner, inner + 2 * state, 1], [inner, state, state]
        channels = inner + 2 * state
        self.norm = nn.RMSNorm(d, eps=1e-5)
        self.in_proj = nn.Linear(d, sum(self.widths), bias=False)
        self.conv = nn.Conv1d(channels, channels, taps, groups=channels, padding=taps - 1)
        self.dt_bias = nn.Parameter(torch.full((1,), -4.0))
        self.log_rate = nn.Parameter(torch.ones(1))
        self.skip = nn.Parameter(torch.ones(1))
        self.gated_norm = nn.RMSNorm(inner, eps=1e-5)
        self.out_proj = nn.Linear(inner, d, bias=False)

    def forward(self, h):
        length = h.shape[1]
        z, xbc, dt = self.in_proj(self.norm(h)).split(self.widths, dim=-1)
        v = F.silu(self.conv(xbc.transpose(1, 2))[..., :length].transpose(1, 2))
        x, b, c = v.split(self.parts, dim=-1)
        dt = F.softplus(dt + self.dt_bias)
        reached = (-torch.exp(self.log_rate) * dt.squeeze(-1)).cumsum(1)
        later = torch.ones(length, length, dtype=torch.bool, device=h.device).triu(1)
        decay = torch.exp((reached[:, :, None] - reached[:, None, :]).masked_fill(later, -torch.inf))
        y = (decay * (c @ b.transpose(1, 2))) @ (dt * x) + self.skip * x
        return h + self.out_proj(self.gated_norm(y * F.silu(z)))


class PlainMamba(nn.Module):
    def __init__(self, layers=2, d=32, symbols=201):
        super().__init__()
        self.embedding = nn.Embedding(symbols, d)
        self.blocks = nn.ModuleList(PlainBlock(d) for _ in range(layers))
        self.norm = nn.RMSNorm(d, eps=1e-5)
        self.head = nn.Linear(d, symbols, bias=False)

    def forward(self, tokens):
        h = self.embedding(tokens)
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h[:, -1]))


def plain(batch, device):
    """A callable that does one step of one plain model."""
    torch.manual_seed(0)
    model = PlainMamba().to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    tokens = torch.randint(0, 101, (64, batch, 9), device=device)
    answers = torch.randint(4, 110, (64, batch), device=device)
    step = 0

    def run():
        nonlocal step
        optimiser.zero_grad()
        F.cross_entropy(model(tokens[step % 64]), answers[step % 64]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1

    return run, sum(p.numel() for p in model.parameters())


def pack(folder, replicas, *, batch, device="cpu"):
    """The study's own pack, its checkpoints and measurements left out."""
    configs = [Config.model_validate({"gamma": 0.5 + r / replicas, "batch_size": batch}) for r in range(replicas)]
    contexts = [Context(seed=r, device=device, data=folder, scratch=folder) for r in range(replicas)]
    return Pack(configs, contexts)


def compiled(made):
    """The pack with its network compiled; what compiling cost in CPU seconds."""
    start = time.process_time() + sum(os.times()[2:4])
    made.forward = quadrat_compiled(made.network, wanted=True)
    for _ in range(3):
        made.update()
    return made, time.process_time() + sum(os.times()[2:4]) - start


def products(made):
    """A callable that does the matrix products of one step of a pack, forward and backward, and nothing else."""
    config, replicas = made.config, len(made.configs)
    d, inner, state, batch, length = config.d_model, 2 * config.d_model, config.d_state, config.batch_size, 9
    wide = [(batch * length, d, inner + 2 * state), (batch * length, d, inner), (batch * length, inner, d)]
    last = [(batch * length, d, inner + state), (4 * batch, d, state), (batch, d, inner), (batch, inner, d)]
    shapes = [*wide * (config.n_layers - 1), *last, (batch, d, config.data.vocabulary)]
    given = [
        (torch.randn(replicas, m, k), torch.randn(replicas, k, n), torch.randn(replicas, m, n)) for m, k, n in shapes
    ]
    b, s, x = (torch.randn(replicas * batch, length, n) for n in (state, length, inner))

    def run():
        for left, right, gradient in given:
            torch.bmm(left, right)
            torch.bmm(gradient, right.transpose(1, 2))
            torch.bmm(left.transpose(1, 2), gradient)
        for _ in range(config.n_layers - 1):
            torch.bmm(b, b.transpose(1, 2))
            torch.bmm(s, x)
            for left, right in ((s, b), (s.transpose(1, 2), b), (x, x.transpose(1, 2)), (s.transpose(1, 2), x)):
                torch.bmm(left, right)

    return run


def seconds(run, count, device="cpu"):
    """Time of one call: CPU time, or wall time where another device works."""
    if device == "cpu":
        start = time.process_time()
        for _ in range(count):
            run()
        return (time.process_time() - start) / count
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(count):
        run()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / count


def compare(slow, fast, *, replicas, device="cpu", turns=TURNS):
    """Medians: seconds of a plain step, seconds of a packed step for each replica, and the ratio."""
    for _ in range(3):
        slow(), fast()
    count = max(1, round(0.3 / seconds(fast, 1, device)))
    pairs = [(seconds(slow, 12, device), seconds(fast, count, device) / replicas) for _ in range(turns)]
    return (
        *(statistics.median(times) for times in zip(*pairs, strict=True)),
        statistics.median(a / b for a, b in pairs),
    )


def bars(folder):
    run, size = plain(32, "cpu")
    many, one = pack(folder, 18, batch=32), pack(folder, 1, batch=32)
    slow, fast, ratio = compare(run, many.update, replicas=18)
    _, alone, _ = compare(run, one.update, replicas=1)
    floor = statistics.median(seconds(products(many), 3) / 18 for _ in range(TURNS))
    print(f"plain step, one of {size:,} parameters      {slow * 1e3:7.2f} ms")
    print(f"packed, R = 1                             {alone * 1e3:7.2f} ms a replica")
    print(f"packed, R = 18                            {fast * 1e3:7.2f} ms a replica")
    print(
        f"products alone, R = 18                    {floor * 1e3:7.2f} ms a replica ({slow / floor:.0f} x is the most)"
    )
    for name, found in (("eager", ratio), ("own R = 1", alone / fast)):
        print(f"{name}: {found:.2f} x, bar {BARS[name]} x: {'met' if found >= BARS[name] else 'MISSED'}")
    print(f"of a packed step {floor / fast:.0%} are products; the rest is element-wise work on 320 channels and Python")


def curve(folder):
    print("times faster than one plain model after the other (ms a step and replica)\n")
    print("| batch | plain ms | " + " | ".join(f"R = {size}" for size in SIZES) + " |")
    print("|" + "---|" * (len(SIZES) + 2))
    for batch in BATCHES:
        run, _ = plain(batch, "cpu")
        cells = []
        for size in SIZES:
            slow, fast, ratio = compare(run, pack(folder, size, batch=batch).update, replicas=size, turns=5)
            cells.append(f"{ratio:.1f} x ({fast * 1e3:.2f})")
        print(f"| {batch} | {slow * 1e3:.1f} | " + " | ".join(cells) + " |", flush=True)


def through_compiler(folder):
    run, _ = plain(32, "cpu")
    for size in (18, 1):
        made, cost = compiled(pack(folder, size, batch=32))
        _, fast, ratio = compare(run, made.update, replicas=size)
        _, eager, _ = compare(run, pack(folder, size, batch=32).update, replicas=size)
        verdict = f", bar {BARS['compiled']} x: {'met' if ratio >= BARS['compiled'] else 'MISSED'}" if size > 1 else ""
        print(f"compiled, R = {size}: {fast * 1e3:.2f} ms a replica, {ratio:.2f} x plain{verdict}")
        print(f"    eager {eager * 1e3:.2f} ms, so compiling gains {eager / fast:.2f} x and cost {cost:.0f} CPU-s")


def on_device(folder, replicas, device):
    for batch in BATCHES:
        run, _ = plain(batch, device)
        made = pack(folder, replicas, batch=batch, device=device)
        slow, fast, ratio = compare(run, made.update, replicas=replicas, device=device)
        verdict = "met" if ratio >= BARS["cuda"] else "MISSED"
        print(
            f"{device}, batch {batch}: plain {slow * 1e3:.2f} ms, packed {fast * 1e3:.3f} ms a replica: {ratio:.1f} x, "
            f"bar {BARS['cuda']} x: {verdict}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curve", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--replicas", type=int, default=90)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_data(Config(), folder)
        if given.device != "cpu":
            on_device(folder, given.replicas, given.device)
        elif given.curve:
            curve(folder)
        elif given.compile:
            through_compiler(folder)
        else:
            bars(folder)


if __name__ == "__main__":
    main()
