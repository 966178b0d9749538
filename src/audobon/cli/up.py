"""`audobon up`: the engine, for as long as it is wanted."""

import click

from audobon.cli.terminal import say

_TICK_SECONDS = 0.5


@click.command()
@click.option("--memory", metavar="SIZE", help="Most memory to take, such as 4GB.")
def up(memory: str | None) -> None:
    """Run the engine: it does what is in the queue until it is stopped.

    `audobon run` hands its pages to a running engine. Ctrl-C ends the engine; pages that are done are kept,
    the page at work is done again later.
    """
    from audobon.app import open_app

    app = open_app()
    with app.queue() as queue, app.engine(queue, memory=memory) as engine, app.resource_recorder():
        say(
            f"the engine for {app.folder} is running, with {engine.budget_bytes >> 20} MB for its work;"
            " Ctrl-C ends it"
        )
        try:
            while True:
                engine.tick()
                engine.wait(_TICK_SECONDS)
        except KeyboardInterrupt:
            say("the engine was stopped")
