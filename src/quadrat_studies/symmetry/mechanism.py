"""How a finished model answers: measured, each time beside a control that would show if the measure meant nothing.

Every part draws sequences of its own (``evaluation.sequences`` for each pair), ends in a table, the data of a figure,
and numbers of which one is the control's. Sequences whose pair stands at the very end are left out: the token after
the pair is where the convolution has the key and both anchors in reach, and here there must be one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from quadrat import Artifact, Event, Metrics, UsageError
from quadrat_studies.symmetry.config import Config
from quadrat_studies.symmetry.data import function_rows
from quadrat_studies.symmetry.metrics import wilson
from quadrat_studies.symmetry.model import MambaBlock, Network, Probe, build, restore
from quadrat_studies.symmetry.probes import Recorder, blocker, cut_from, positions, substitute
from quadrat_studies.symmetry.rows import Rows
from quadrat_studies.symmetry.tasks import HELD_OUT, FunctionTask, Pair, function_task

Table: TypeAlias = list[dict[str, Any]]
AFTER_PAIR = 3
"""Where the token after the pair stands, counted from the key: the first to see all of key and anchors."""
BLOCKED = {
    "match": (0, AFTER_PAIR - 1),
    "first_two_match": (0, AFTER_PAIR - 2),
    "control_match": (AFTER_PAIR, AFTER_PAIR),
}
"""Positions out of sight, first and last, counted from the key."""
BATCH = 240


@final
@dataclass(frozen=True, slots=True)
class Subject:
    """A finished model, the same model as it was before training, and the task to draw from."""

    network: Network
    untrained: Network
    config: Config
    task: FunctionTask
    step: int

    @classmethod
    def of(cls, state: Mapping[str, Any], config: Config) -> Subject:
        """The model of a checkpoint under ``config``'s data and evaluation.

        Raises:
            UsageError: the task has no pairs.
        """
        trained_config, network = restore(state)
        if config.data.task == "inverse":
            raise UsageError("the inverse task has no pairs to take apart.", remedy="evaluate a function task's run.")
        untrained = build([trained_config], [int(state["seed"])]).requires_grad_(False)
        return cls(network, untrained, config, function_task(config.data), int(state["step"]))

    def sequences(self, part: str, pair: Pair, *, room: int = 1, cells: str = "any") -> Rows:
        """New sequences of one pair with at least ``room`` tokens after the pair."""
        data, count = self.config.data, self.config.evaluation.sequences
        stream, last = f"mechanism/{part}/{pair[0]}{pair[1]}", data.length - AFTER_PAIR - room
        return function_rows(data, self.task, stream=stream, pair=pair, rows=count, cells=cells, last_slot=last)

    def answers(self, rows: Rows, *, probe: Callable[[slice], Probe] | None = None) -> Tensor:
        """The symbols answered to ``rows``, ``[rows]``; ``probe`` makes one for the rows of a slice."""
        tokens, found = torch.from_numpy(rows.tokens), []
        for start in range(0, len(tokens), BATCH):
            some = slice(start, start + BATCH)
            logits = self.network(tokens[some][None], probe=probe(some) if probe else None)
            found.append(logits[0].argmax(-1))
        return torch.cat(found)

    def record(self, rows: Rows, *, network: Network | None = None) -> Recorder:
        """Everything that passes while ``rows`` are answered."""
        recorder = Recorder()
        (network or self.network)(torch.from_numpy(rows.tokens)[None], probe=recorder.probe)
        return recorder

    def mamba_blocks(self, part: str) -> list[tuple[MambaBlock, MambaBlock]]:
        """The blocks, each with its untrained self.

        Raises:
            UsageError: the model is a transformer.
        """
        pairs = list(zip(self.network.blocks, self.untrained.blocks, strict=True))
        found = [(a, b) for a, b in pairs if isinstance(a, MambaBlock) and isinstance(b, MambaBlock)]
        if not found:
            raise UsageError(
                f"{part} is about Mamba's convolution, which a transformer has not.", where="evaluation.parts"
            )
        return found


def swapped(rows: Rows, pair: Pair) -> Rows:
    """The same sequences with another pair; labels are left behind."""
    twin = rows.array.copy()
    everywhere, slots = np.arange(len(rows)), rows.slots
    for offset, anchor in enumerate(pair, start=1):
        twin[everywhere, slots + offset] = anchor
    return Rows(twin)


# Parts -------------------------------------------------------------------------------------------------------------


def pairs(subject: Subject) -> Iterator[Event]:
    """Accuracy of each pair, and how often a sequence and its mirror image get the same answer.

    The number is the agreement of 43 with 34; its control is the agreement of 43 with 44, another pair altogether.
    """
    table: Table = []
    anchors = sorted({first for first, _ in subject.task.pairs})
    for pair in subject.task.pairs:
        rows = subject.sequences("pairs", pair, cells="test")
        own, mirrored = subject.answers(rows), subject.answers(swapped(rows, (pair[1], pair[0])))
        next_anchor = anchors[(anchors.index(pair[1]) + 1) % len(anchors)]
        other = subject.answers(swapped(rows, (pair[0], next_anchor)))
        table.append(
            {
                "pair": _name(pair),
                "held_out": pair == HELD_OUT,
                "sequences": len(rows),
                "accuracy": _share(own == torch.from_numpy(rows.labels)),
                "mirror_agreement": _share(own == mirrored),
                "control_agreement": _share(own == other),
            }
        )
    held_out = next(row for row in table if row["held_out"])
    trained = [row["accuracy"] for row in table if not row["held_out"]]
    numbers = {
        "trained_acc": float(np.mean(trained)),
        "held_out_mirror_agreement": held_out["mirror_agreement"],
        "held_out_control_agreement": held_out["control_agreement"],
    }
    yield from _report(subject, "pairs", table=table, numbers=numbers, bars=("mirror_agreement", "control_agreement"))


def information_flow(subject: Subject) -> Iterator[Event]:
    """How much of what reaches tokens beyond the one after the pair comes from it, and from key and anchors.

    Shares of ``|S[i, j]|`` over j, layer by layer. The control is the untrained model; ``even`` is what a model that
    looks everywhere alike would have.
    """
    table: Table = []
    rows = subject.sequences("information_flow", HELD_OUT, room=2)
    slots, length = torch.from_numpy(rows.slots), subject.config.data.length
    sources = {"after_pair": (AFTER_PAIR, AFTER_PAIR), "key_and_anchors": (0, AFTER_PAIR - 1)}
    places = {name: positions(slots, length, first=a, last=b) for name, (a, b) in sources.items()}
    readers = positions(slots, length, first=AFTER_PAIR + 1, last=length)
    recorded = {"trained": subject.record(rows), "untrained": subject.record(rows, network=subject.untrained)}
    for layer in range(len(subject.network.blocks)):
        row: dict[str, Any] = {"layer": layer, "sequences": len(rows)}
        for model, recorder in recorded.items():
            weights = F.normalize(recorder.scores[layer].abs(), p=1.0, dim=-1)
            row |= {f"{name}_{model}": _flow(weights, readers, place) for name, place in places.items()}
        even = torch.ones(length, length).tril()
        row |= {
            f"{name}_even": _flow((even / even.sum(-1, keepdim=True)).expand(len(rows), -1, -1), readers, place)
            for name, place in places.items()
        }
        table.append(row)
    numbers = {
        name: float(np.mean([row[name] for row in table])) for name in table[0] if name not in ("layer", "sequences")
    }
    yield Artifact("figures/information_flow.json", _flow_figure(subject, rows.first(1)))
    yield from _report(subject, "information_flow", table=table, numbers=numbers)


def blocking(subject: Subject) -> Iterator[Event]:
    """Whether answers change when no later token may see key and anchors, in any layer: ``match`` is how often not.

    The control cuts off the token after the pair instead. If answers are read from there, as the paper has it,
    ``match`` is near 1 and the control is not; the second anchor, which has key and both anchors in reach too, is set
    apart by ``first_two_match``, where it stays in sight.
    """
    table: Table = []
    length = subject.config.data.length
    downstream = subject.config.evaluation.blocked_rows == "downstream"
    for pair in subject.task.pairs:
        rows = subject.sequences("blocking", pair, room=2)
        slots, own = torch.from_numpy(rows.slots), subject.answers(rows)
        row: dict[str, Any] = {"pair": _name(pair), "held_out": pair == HELD_OUT, "sequences": len(rows)}
        for name, (first, last) in BLOCKED.items():
            readers = slots + AFTER_PAIR if downstream else None
            cut = cut_from(positions(slots, length, first=first, last=last), first_reader=readers)
            same = own == subject.answers(rows, probe=lambda some, cut=cut: blocker(cut[some]))
            row[name] = _share(same)
            row[f"{name}_low"], row[f"{name}_high"] = wilson(int(same.sum()), len(rows))
        table.append(row)
    held_out = next(row for row in table if row["held_out"])
    numbers = {name: float(np.mean([row[name] for row in table])) for name in BLOCKED}
    numbers |= {f"held_out_{name}": held_out[name] for name in BLOCKED}
    yield from _report(subject, "blocking", table=table, numbers=numbers, bars=tuple(BLOCKED))


def substitution(subject: Subject) -> Iterator[Event]:
    """Whether what the convolution gives from the token after the pair on decides which pair is answered.

    A sequence is answered with these channels taken from its twin, the same sequence with pair 43, in every layer; the
    number is how often the answer is the twin's. The control changes nothing: how often the two agree anyway.
    """
    subject.mamba_blocks("substitution")
    table: Table = []
    length = subject.config.data.length
    for pair in (pair for pair in subject.task.pairs if pair != HELD_OUT):
        rows = subject.sequences("substitution", pair)
        twin = swapped(rows, HELD_OUT)
        places = positions(torch.from_numpy(rows.slots), length, first=AFTER_PAIR, last=length)
        recorded = subject.record(twin).parts

        def put(some: slice, recorded: Sequence[Any] = recorded, places: Tensor = places) -> Probe:
            return substitute([tuple(part[:, some] for part in parts) for parts in recorded], places[some])

        wanted = subject.answers(twin)
        match, control = subject.answers(rows, probe=put) == wanted, subject.answers(rows) == wanted
        low, high = wilson(int(match.sum()), len(rows))
        row = {
            "pair": _name(pair),
            "sequences": len(rows),
            "match": _share(match),
            "match_low": low,
            "match_high": high,
        }
        table.append({**row, "control_match": _share(control)})
    numbers = {name: float(np.mean([row[name] for row in table])) for name in ("match", "control_match")}
    yield from _report(subject, "substitution", table=table, numbers=numbers, bars=("match", "control_match"))


def kernel_cosine(subject: Subject) -> Iterator[Event]:
    """How alike the taps of a convolution are: cosines between them over the channels, before and after training.

    Equal taps would make the convolution blind to order. Between random vectors a cosine has standard deviation
    ``1 / sqrt(channels)``, given as ``by_chance``.
    """
    table: Table = []
    blocks = subject.mamba_blocks("kernel_cosine")
    for layer, (trained, untrained) in enumerate(blocks):
        start, end = (F.normalize(block.convolution.taps[0], dim=-1) for block in (untrained, trained))
        for i, j in torch.combinations(torch.arange(len(end))).tolist():
            table.append(
                {"layer": layer, "taps": f"{i}{j}", "start": float(start[i] @ start[j]), "end": float(end[i] @ end[j])}
            )
    channels = blocks[0][0].convolution.taps.shape[-1]
    numbers = {f"mean_abs_{when}": float(np.mean([abs(row[when]) for row in table])) for when in ("start", "end")}
    numbers |= {"max_abs_end": max(abs(row["end"]) for row in table), "by_chance": channels**-0.5}
    yield from _report(subject, "kernel_cosine", table=table, numbers=numbers, bars=("start", "end"))


PARTS: Mapping[str, Callable[[Subject], Iterator[Event]]] = {
    "pairs": pairs,
    "information_flow": information_flow,
    "blocking": blocking,
    "substitution": substitution,
    "kernel_cosine": kernel_cosine,
}


def _report(
    subject: Subject, part: str, *, table: Table, numbers: Mapping[str, float], bars: tuple[str, ...] = ()
) -> Iterator[Event]:
    yield Artifact(f"tables/{part}.jsonl", table)
    if bars:
        labels = [row.get("pair") or f"{row['layer']}:{row['taps']}" for row in table]
        series = {name: [row[name] for row in table] for name in bars}
        yield Artifact(f"figures/{part}.json", {"kind": "bars", "title": part, "labels": labels, "series": series})
    yield Metrics(subject.step, {f"{part}/{name}": value for name, value in numbers.items()})


def _flow(weights: Tensor, readers: Tensor, sources: Tensor) -> float:
    """Mean share that readers take from sources: weights ``[B, L, L]``, both masks ``[B, L]``."""
    taken = (weights * sources[:, None, :]).sum(-1)
    return float(taken[readers].mean())


def _flow_figure(subject: Subject, rows: Rows) -> dict[str, Any]:
    """One sequence: the scores of every layer, and what each position would answer after each layer."""
    recorder = subject.record(rows)
    lens = [subject.network.decode(h)[0, 0].argmax(-1).tolist() for h in recorder.streams]
    scores = [layer[0].tolist() for layer in recorder.scores]
    tokens = rows.tokens[0].tolist()
    return {"kind": "flow", "title": "information_flow", "tokens": tokens, "scores": scores, "readout": lens}


def _share(hits: Tensor) -> float:
    return float(hits.double().mean())


def _name(pair: Pair) -> str:
    return f"{pair[0]}{pair[1]}"
