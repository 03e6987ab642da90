"""An evaluation: questions to a solver with averaged weights, and all that is reported about the answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, final

from quadrat_studies.etrm.answering import Refine, Reply, answer_questions
from quadrat_studies.etrm.carry import Batch
from quadrat_studies.etrm.config import Config
from quadrat_studies.etrm.data import Tasks
from quadrat_studies.etrm.gallery import draw_gallery
from quadrat_studies.etrm.grids import Augmentation
from quadrat_studies.etrm.items import Canvas, Question, fixed_versions, questions
from quadrat_studies.etrm.measuring import copying, demo_use, prediction_rows, reply_metrics, votes_of
from quadrat_studies.etrm.model import Solver
from quadrat_studies.etrm.refinement import refine_context
from quadrat_studies.etrm.training import Pool
from quadrat_studies.etrm.voting import pass_at, submission


@final
class Examination:
    """The questions of a run, made once; the same at every evaluation."""

    def __init__(self, config: Config, tasks: Tasks, *, device: str) -> None:
        self.config, self.side, self.device = config, config.data.canvas, device
        self.on = config.evaluation.on
        split = "train" if self.on == "train" else "evaluation"
        self.tasks = tasks.train if self.on == "train" else tasks.evaluation
        counts = tasks.manifest[split]
        self.tasks_in_source = int(counts["in_source"])
        canvas = Canvas(self.side, config.training.max_demos)
        versions = self._versions(config, tasks)
        self.questions = questions(
            self.tasks, canvas, versions=versions, puzzles=config.arch.conditioning == "embedding_table"
        )
        if self.on == "heldout" and config.arch.conditioning == "embedding_table":
            self.questions = self._behind(config, tasks)
        self.yardsticks = copying(self.questions)
        self.questions_in_source = int(counts["queries_in_source"]) * config.evaluation.versions
        plain = [[Augmentation()]] * len(tasks.train)
        self.trained = questions(tasks.train, canvas, versions=plain)[: config.evaluation.swap_rows]
        self.names = [task.id for task in self.tasks]
        self.train_names = [task.id for task in tasks.train]

    def measure(self, solver: Solver) -> tuple[dict[str, float], list[Reply]]:
        """Every number of an evaluation, and the replies behind them."""
        replies = self._ask(solver, None)
        values = self._report(replies, prefix="all.")
        if self.config.evaluation.refine_steps:
            search = partial(
                refine_context, steps=self.config.evaluation.refine_steps, rate=self.config.evaluation.refine_lr
            )
            refined = self._report(self._ask(solver, search), prefix="refined.")
            values |= {name.replace("ARC/", "refined.ARC/", 1): number for name, number in refined.items()}
        fixed = Batch.of([question.item for question in self.trained], self.device)
        return values | self.yardsticks | demo_use(solver, fixed), replies

    def tables(self, solver: Solver, replies: Sequence[Reply]) -> dict[str, Any]:
        """``eval_predictions``, ``train_predictions`` (rows, and drawn as galleries) and the submission."""
        limit = self.config.evaluation.prediction_rows
        seen = self.trained[:limit]
        trained = self._answers(solver, seen)
        rows = {
            "eval": prediction_rows(self.questions, replies, names=self.names, side=self.side, limit=limit),
            "train": prediction_rows(seen, trained, names=self.train_names, side=self.side, limit=limit),
        }
        told = {"eval": f"Tasks of the evaluation ({self.on})", "train": "Tasks trained on"}
        tables: dict[str, Any] = {f"{name}_predictions.jsonl": found for name, found in rows.items()}
        tables |= {f"figures/{name}_gallery.svg": draw_gallery(found, title=told[name]) for name, found in rows.items()}
        votes = votes_of(self.questions, replies, side=self.side)
        return tables | {"submission.json": submission(votes, self.tasks)}

    def _report(self, replies: Sequence[Reply], *, prefix: str) -> dict[str, float]:
        limit = self.config.arch.halt_max_steps
        values = reply_metrics(replies, n_total=self.questions_in_source, limit=limit, prefix=prefix)
        votes = votes_of(self.questions, replies, side=self.side)
        ks = self.config.evaluation.pass_ks
        return values | pass_at(votes, self.tasks, ks=ks, n_total=self.tasks_in_source)

    def _ask(self, solver: Solver, refine: Refine | None) -> list[Reply]:
        return self._answers(solver, self.questions, refine)

    def _answers(self, solver: Solver, asked: Sequence[Question], refine: Refine | None = None) -> list[Reply]:
        size = self.config.evaluation.batch_size
        return answer_questions(solver, asked, batch_size=size, device=self.device, refine=refine)

    @staticmethod
    def _versions(config: Config, tasks: Tasks) -> Sequence[Sequence[Augmentation]]:
        pool = Pool(config, tasks)
        if pool.versions:
            # A table knows the versions it was trained on, and no others.
            return pool.versions[: len(tasks.train)]
        chosen = tasks.train if config.evaluation.on == "train" else tasks.evaluation
        return fixed_versions(chosen, config.evaluation.versions, seed=config.data.seed)

    @staticmethod
    def _behind(config: Config, tasks: Tasks) -> list[Question]:
        """Questions on evaluation tasks to an embedding table in which they stand behind the training tasks."""
        pool = Pool(config, tasks)
        canvas = Canvas(config.data.canvas, config.training.max_demos)
        everything = questions(pool.tasks, canvas, versions=pool.versions, puzzles=True)
        first = len(tasks.train)
        return [Question(q.task - first, q.query, q.version, q.item) for q in everything if q.task >= first]
