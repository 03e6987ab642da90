"""One training step of the recursive decoder, beside a plain transcription of its formulas.

    python benchmarks/etrm_step.py [--compiled]

Both are given the same weights, states and batch: 16 rows on a canvas of 10, 4 context tokens, width 64, 4 heads, two
layers, H = L = 2; logits must agree to 1e-4. A step is forward, loss, backward, clipping, AdamATan2 and the average of
the weights; one thread, CPU seconds, turn about, medians. The transcription is written as a reader of the paper would
write it, one operation a formula, with torch's own attention and fused matrices where the published code has them.

Two steps of ours: with the loops that numba compiles, and without, all in torch's operations, as where numba is
missing. ``--compiled`` also times the transcription under ``torch.compile`` (about 20 CPU-seconds to compile).
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"

import torch
import torch.nn.functional as F

from quadrat_studies.etrm import fused
from quadrat_studies.etrm.config import ArchConfig, TrainingConfig
from quadrat_studies.etrm.grids import IGNORED
from quadrat_studies.etrm.losses import score_rows
from quadrat_studies.etrm.model import build
from quadrat_studies.etrm.optimiser import AdamATan2, FlatWeights

BAR = 0.7
BATCH, SIDE, TURNS = 16, 10, 9
ARCH = ArchConfig()
RECIPE = TrainingConfig()


class Transcription:
    """TRM's step on copies of a decoder's weights, one formula after the other."""

    def __init__(self, decoder):
        self.arch = decoder.arch
        self.weights = {name: p.detach().clone().requires_grad_() for name, p in decoder.named_parameters()}
        self.first = {name: torch.zeros_like(p) for name, p in self.weights.items()}
        self.second = {name: torch.zeros_like(p) for name, p in self.weights.items()}
        self.averaged = {name: p.detach().clone() for name, p in self.weights.items()}
        self.count = 0
        channels = self.arch.hidden_size // self.arch.num_heads
        speeds = 1 / (10_000 ** (torch.arange(0, channels, 2).float() / channels))
        angles = torch.outer(torch.arange(decoder.length).float(), speeds)
        # Neighbouring channels are a pair in our weights, so each angle stands twice.
        self.cos, self.sin = (f(angles).repeat_interleave(2, -1)[:, None] for f in (torch.cos, torch.sin))

    def norm(self, x):
        variance = x.float().square().mean(-1, keepdim=True)
        return x * torch.rsqrt(variance + 1e-5)

    def rotate(self, x):
        turned = torch.stack((-x[..., 1::2], x[..., ::2]), -1).flatten(-2)
        return x * self.cos + turned * self.sin

    def layer(self, x, number):
        w = {name: self.weights[f"layers.{number}.{name}"] for name in ("qkv", "out", "gate_up", "down")}
        batch, length, width = x.shape
        heads = self.arch.num_heads
        qkv = F.linear(x, w["qkv"]).view(batch, length, 3 * heads, width // heads)
        q, k, v = qkv[:, :, :heads], qkv[:, :, heads : 2 * heads], qkv[:, :, 2 * heads :]
        q, k = self.rotate(q), self.rotate(k)
        seen = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        h = self.norm(x + F.linear(seen.transpose(1, 2).reshape(batch, length, width), w["out"]))
        gate, up = F.linear(h, w["gate_up"]).chunk(2, -1)
        return self.norm(h + F.linear(F.silu(gate) * up, w["down"]))

    def network(self, state, injection):
        x = state + injection
        for number in range(self.arch.L_layers):
            x = self.layer(x, number)
        return x

    def forward(self, high, low, context, inputs):
        scale = math.sqrt(self.arch.hidden_size)
        x = scale * torch.cat((context, F.embedding(inputs, self.weights["embed_tokens"])), 1)
        with torch.no_grad():
            for _ in range(self.arch.H_cycles - 1):
                for _ in range(self.arch.L_cycles):
                    low = self.network(low, high + x)
                high = self.network(high, low)
        for _ in range(self.arch.L_cycles):
            low = self.network(low, high + x)
        high = self.network(high, low)
        logits = F.linear(high, self.weights["lm_head"])[:, self.arch.puzzle_emb_len :]
        q = F.linear(high[:, 0], self.weights["q_head.weight"], self.weights["q_head.bias"]).float()
        return logits, q[:, 0], high.detach(), low.detach()

    def loss(self, logits, q, labels):
        z = logits.double()
        s = torch.where(z < 0, 1 / (1 - z + 1e-30), z + 1)
        log_p = torch.log(s / s.sum(-1, keepdim=True))
        asked = labels != IGNORED
        picked = log_p.gather(-1, torch.where(asked, labels, 0).unsqueeze(-1)).squeeze(-1)
        cells = asked.sum(-1).clamp(min=1)
        prediction = (-torch.where(asked, picked, 0) / cells.unsqueeze(-1)).sum()
        exact = (((logits.argmax(-1) == labels) & asked).sum(-1) == asked.sum(-1)).float()
        halting = F.binary_cross_entropy_with_logits(q, exact, reduction="sum")
        return (prediction + 0.5 * halting) / len(labels)

    def step(self, high, low, context, inputs, labels):
        logits, q, *_ = self.forward(high, low, context, inputs)
        for p in self.weights.values():
            p.grad = None
        self.loss(logits, q, labels).backward()
        torch.nn.utils.clip_grad_norm_(list(self.weights.values()), RECIPE.grad_clip_norm)
        self.count += 1
        with torch.no_grad():
            for name, p in self.weights.items():
                m, v = self.first[name], self.second[name]
                m.mul_(RECIPE.beta1).add_(p.grad, alpha=1 - RECIPE.beta1)
                v.mul_(RECIPE.beta2).addcmul_(p.grad, p.grad, value=1 - RECIPE.beta2)
                m_hat, v_hat = m / (1 - RECIPE.beta1**self.count), v / (1 - RECIPE.beta2**self.count)
                p.mul_(1 - RECIPE.lr * RECIPE.weight_decay).sub_(RECIPE.lr * torch.atan2(m_hat, v_hat.sqrt()))
                self.averaged[name].mul_(RECIPE.ema_rate).add_(p, alpha=1 - RECIPE.ema_rate)
        return logits.detach()


class Ours:
    """The study's step on its decoder."""

    def __init__(self, solver):
        self.solver, self.decoder = solver, solver.inner
        self.weights = FlatWeights(solver)
        self.optimiser = AdamATan2(self.weights, RECIPE)

    def step(self, states, context, inputs, labels):
        self.weights.gradient.zero_()
        answer = self.decoder(states, context=context, inputs=inputs)
        rows = score_rows(answer, labels)
        ((rows.prediction + ARCH.halt_loss_weight * rows.halting).sum() / len(labels)).backward()
        self.weights.clip(RECIPE.grad_clip_norm, self.weights.norms()[2])
        self.optimiser.update(RECIPE.lr)
        return answer.logits.detach()


def batch():
    """Context, inputs and labels such as ARC's on this canvas: about two fifths of the cells are asked for."""
    draw = torch.Generator().manual_seed(1)
    context = torch.randn(BATCH, ARCH.puzzle_emb_len, ARCH.hidden_size, generator=draw)
    inputs = torch.randint(0, 12, (BATCH, SIDE**2), generator=draw)
    asked = torch.rand(BATCH, SIDE**2, generator=draw) < 0.4
    labels = torch.randint(1, 12, (BATCH, SIDE**2), generator=draw)
    return context, inputs, torch.where(asked, labels, IGNORED)


def pair():
    """Both implementations on the same weights, and a step of each as a callable that returns its logits."""
    arch = ArchConfig(conditioning="embedding_table")
    solver = build(arch, side=SIDE, seed=0, puzzles=1)
    reference, ours = Transcription(solver.inner), Ours(solver)
    context, inputs, labels = batch()
    states = solver.inner.start(BATCH)
    high, low = states.high.contiguous(), states.low.contiguous()
    return (
        lambda: reference.step(high, low, context, inputs, labels),
        lambda: ours.step(states, context, inputs, labels),
        (reference, ours),
    )


def seconds(step, count=3):
    start = time.process_time()
    for _ in range(count):
        step()
    return (time.process_time() - start) / count


def compiled():
    """A step of the transcription under torch.compile, compiled already."""
    step, _, (reference, _) = pair()
    reference.forward = torch.compile(reference.forward, dynamic=False)
    reference.loss = torch.compile(reference.loss, dynamic=False)
    step()
    return step


def without_loops():
    """A step of ours in torch's operations."""
    _, fast, _ = pair()

    def step():
        used, fused.loops = fused.loops, lambda: None
        try:
            return fast()
        finally:
            fused.loops = used

    return step


def main():
    torch.set_num_threads(1)
    plain, fast, _ = pair()
    apart = (plain() - fast()).abs().max().item()
    steps = {"ours": fast, "ours without the loops": without_loops()}
    if "--compiled" in sys.argv:
        steps["the transcription compiled"] = compiled()
    times = [[seconds(step) for step in (plain, *steps.values())] for _ in range(TURNS)]
    print(f"plain: {statistics.median(row[0] for row in times) * 1e3:.0f} CPU-ms; logits apart {apart:.1e}")
    print("| step | CPU-ms | of plain | least and most |\n|---|---|---|---|")
    for place, name in enumerate(steps, 1):
        ratios = [row[place] / row[0] for row in times]
        spent = statistics.median(row[place] for row in times) * 1e3
        print(f"| {name} | {spent:.0f} | {statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} |")
    ratio = statistics.median(row[1] / row[0] for row in times)
    print(f"bar: {BAR} of plain, {'met' if ratio <= BAR else 'MISSED'}")
    return 0 if ratio <= BAR and apart <= 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
