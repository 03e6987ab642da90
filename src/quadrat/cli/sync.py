"""``quadrat sync``: send to trackers what has not arrived there."""

from __future__ import annotations

import click

from quadrat.cli.targets import root_of, study_of


@click.command("sync")
@click.argument("study", required=False)
@click.option("--sink", "sinks", multiple=True, help="A tracker (tensorboard, wandb, mlflow); may be given again.")
@click.pass_context
def command(ctx: click.Context, study: str | None, sinks: tuple[str, ...]) -> int:
    """Send what trackers have not got of STUDY (default: of every study that was mirrored before).

    Everything comes from the journal, so it may be done at any time and again: what has arrived is not sent twice,
    and what a tracker has lost is sent anew. Without --sink it goes where it went before.
    """
    from quadrat.core.errors import UsageError
    from quadrat.core.registry import members
    from quadrat.journal.layout import StudyFolder, studies
    from quadrat.sinks.ledger import behind, used_before
    from quadrat.sinks.mirror import mirror

    known = members("sinks")
    for name in sinks:
        if name not in known or name == "console":
            from quadrat.core.errors import unknown_name

            raise unknown_name("sink", name, [each for each in known if each != "console"])
    root = root_of(ctx)
    everything = study is None and not sinks
    folders = [StudyFolder(root, name) for name in studies(root)] if everything else [study_of(root, study)]
    work = [(folder, list(dict.fromkeys(sinks)) or used_before(folder)) for folder in folders]
    work = [(folder, names) for folder, names in work if names]
    if not work:
        raise UsageError(
            "nothing was mirrored before.",
            where=str(root / "results") if everything else str(folders[0].path),
            remedy=f"name a tracker: quadrat sync {'STUDY' if everything else folders[0].name} --sink tensorboard.",
        )
    arrived = True
    for folder, names in work:
        late = {name: behind(folder, name)[0] for name in names}
        whole = mirror(folder, names, follow=False, say=lambda text: click.echo(text, err=True))
        arrived = arrived and whole
        for name in names:
            missing, runs = behind(folder, name)
            click.echo(f"{folder.name}: {name}: {late[name] - missing} runs sent, {runs - missing} of {runs} are there")
    return 0 if arrived else 1
