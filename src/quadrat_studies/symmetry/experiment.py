"""The symmetry experiment: train a model on pairs of functions, or on inverse sequences, and see what it has learned.

Runs of one shape can be trained together. ``train_pack(configs, contexts)`` is a generator of rows, one place for each
member: an event, or None when there is none for it. Driven by a plain ``for`` it trains everyone to the end. An
instrument that wants a member to stop says so when it asks for the next row: ``rows.send(frozenset({2, 5}))`` stops the
members in places 2 and 5 from there on, whether or not it has named them before; ``rows.send(None)`` and ``next(rows)``
change nothing. A stopped member has None in every later row and its weights stay as they are; when all are stopped the
generator ends. A member whose context holds a later checkpoint than the others' waits until they have caught up. What
a member yields does not depend on who else is in the pack: ``train`` is a pack of one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from quadrat import Context, Event, UsageError
from quadrat.tensor.stack import check_members
from quadrat_studies.symmetry.config import Config
from quadrat_studies.symmetry.data import build_data
from quadrat_studies.symmetry.mechanism import PARTS, Subject
from quadrat_studies.symmetry.training import Pack, Told

__all__ = ["Config", "build_data", "evaluate", "pack_key", "pack_tokens", "relative_cost", "train", "train_pack"]

MAY_DIFFER = ("gamma", "learning_rate", "gradient_clip")
"""What the members of a pack may have of their own, beside the seed."""


def train(config: Config, context: Context) -> Iterator[Event]:
    """Train one model and measure it. Resumes from ``context.state`` at any step."""
    for row in train_pack([config], [context]):
        yield from (event for event in row if event is not None)


def train_pack(configs: Sequence[Config], contexts: Sequence[Context]) -> Told:
    """Train runs with equal ``pack_key`` at once. The module's text says how a member is stopped.

    Raises:
        UsageError: the runs do not fit together.
    """
    check_members(configs, contexts, key=pack_key, differ=", ".join((*MAY_DIFFER, "seed")))
    yield from Pack(configs, contexts).run()


def pack_key(config: Config) -> str:
    """What must be equal for runs to be trained in one pack, as text."""
    return json.dumps(config.model_dump(mode="json", exclude=set(MAY_DIFFER)), sort_keys=True)


def evaluate(config: Config, context: Context) -> Iterator[Event]:
    """Measure a finished model again, in the ways that ``config.evaluation.parts`` names.

    The network is the one in ``context.state``; what ``config`` says about model and training does not change it.

    Raises:
        UsageError: there is no model, or a part does not apply to it.
    """
    if context.state is None:
        raise UsageError("evaluate needs a trained model.", remedy="name a finished run.")
    subject = Subject.of(context.state, config)
    for part in config.evaluation.parts:
        yield from PARTS[part](subject)


def pack_tokens(config: Config) -> int:
    """How many tokens one run adds to a packed step."""
    return config.batch_size * config.data.tokens


def relative_cost(config: Config) -> float:
    """How long a run takes beside others: its tokens through all its layers."""
    return float(pack_tokens(config) * config.n_layers * config.epochs)
