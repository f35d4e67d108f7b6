"""`striate resume RUN`: a training that was cut off goes on, to the very weights it would have had."""

from __future__ import annotations

from pathlib import Path

import click

from striate.cli.output import reading, say

EXAMPLES = """\b
Examples:
  striate resume runs/photos                      from its last checkpoint, wherever it was cut off
  striate resume runs/photos --data /mnt/photos   the images have moved
  torchrun --nproc-per-node 2 -m striate resume runs/photos

While it learns, a run writes a checkpoint every half minute, and one where it is stopped (Ctrl-C, SIGTERM, SIGHUP,
a pipe that nobody reads);
the last two stay in RUN/checkpoints/. Each is whole or not there, and its name has its digest: where the newest is
damaged, the one before is used, and said. On the same machine with the same threads the weights come out equal to
the bit. When a run is done its checkpoints are taken away.
"""


@click.command("resume", epilog=EXAMPLES, short_help="Go on with a training that was cut off.")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option("--data", metavar="digits|PATH", help="Where the images are now; default: where they were.")
def command(run: Path, data: str | None) -> None:
    """Go on with the training in the folder RUN: same recipe, images and order, same weights at the end."""
    from striate.cli.train import concluded, watched
    from striate.training import Control, resumed

    control = Control()
    images, events = resumed(run, data, control=control, counting=reading(data or str(run)))
    say(f"{run} on {data or images.origin}: {images.told}")
    concluded(*watched(events, control), images)
