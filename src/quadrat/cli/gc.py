"""``quadrat gc``: what takes room and is of no further use."""

from __future__ import annotations

import click

from quadrat.cli.targets import print_json, root_of, study_of


@click.command("gc")
@click.argument("study", required=False)
@click.option("--yes", is_flag=True, help="Remove what is listed; without it, it is only listed.")
@click.option("--cited", is_flag=True, help="Also what the evidence of a record names by hash.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(ctx: click.Context, *, study: str | None, yes: bool, cited: bool, as_json: bool) -> None:
    """List what is of no further use, with its bytes: of STUDY, or of all studies and the data besides.

    That is: checkpoints of ended runs but the last and the best, work orders, what killed processes left half written,
    and data that no run or record names. A checkpoint that goes stays named in the run's manifest, under removed.
    """
    from quadrat.journal.garbage import garbage, remove

    root = root_of(ctx)
    found = garbage(root, study_of(root, study).name if study else None)
    kept = [heap for heap in found if heap.cited and not cited]
    going = [heap for heap in found if heap not in kept]
    freed = remove(root, going) if yes else 0
    if as_json:
        rows = [
            {
                "path": heap.path.relative_to(root).as_posix(),
                "kind": heap.kind,
                "bytes": heap.size,
                "why": heap.why,
                "cited": heap.cited,
                "removed": yes and heap in going,
            }
            for heap in found
        ]
        print_json("gc", {"heaps": rows, "bytes": sum(heap.size for heap in going), "freed": freed})
        return
    for heap in going:
        click.echo(f"{heap.size:>14,}  {heap.kind:<10}  {heap.path.relative_to(root).as_posix()}  {heap.why}")
    for heap in kept:
        place = heap.path.relative_to(root).as_posix()
        click.echo(f"{heap.size:>14,}  {'kept':<10}  {place}  experiments/{heap.cited} names it; --cited takes it too")
    total = sum(heap.size for heap in going)
    told = f"removed, {freed:,} bytes" if yes else f"to be had with --yes, {total:,} bytes"
    click.echo(
        f"{len(going)} {told}; {len(kept)} kept for a record, {sum(heap.size for heap in kept):,} bytes.", err=True
    )
