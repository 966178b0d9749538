"""`audobon up`: the engine, for as long as it is wanted."""

from pathlib import Path

import click

from audobon.cli.recovery_words import telling, words_file_option, words_from


@click.command(short_help="Run the engine, which does what is in the queue.")
@click.option("--memory", metavar="SIZE", help="Most memory to take, such as 4GB.")
@words_file_option
@click.option("--json", "as_json", is_flag=True, help="Print what happens as lines of JSON.")
def up(*, memory: str | None, words_file: Path | None, as_json: bool) -> None:
    """Run the engine: it does what is in the queue until it is stopped.

    `audobon run` hands its pages to a running engine. Ctrl-C or SIGTERM ends the engine within a second;
    pages that are done are kept, the page at work is done again later.

    What is damaged or lost is mended first, and told; see: audobon recovery list

    With --json each line is {"at": UTC seconds, "event": E, "words": ...} and what else is known of it.

    Ends with status 0 when it was asked to end; 5 when the data folder has an engine; 7 when the disk is
    full; 8 when workers cannot run here, or the database stays locked; else as docs/reference/exit-codes.md.
    """
    from audobon.app import open_app
    from audobon.cli.engine_lines import EngineLines

    app = open_app()
    tell = telling(as_json=as_json)
    # Before anything is opened that may be damaged. What needs nobody's attention is told afterwards.
    mended = app.recovery.mend(
        tell=lambda news: tell(news) if news.is_grave else None, words=words_from(words_file)
    )
    with app.queue() as queue:
        lines = EngineLines(queue, as_json=as_json)
        with app.engine(queue, memory=memory, tell=lines.tell) as engine, app.resource_recorder():
            try:
                lines.began(app.folder, engine.budget_bytes)
                for news in mended:
                    if not news.is_grave:
                        tell(news)
                while True:
                    engine.tick()
                    lines.tell_failures()
                    engine.wait(engine.rest_seconds)
            except KeyboardInterrupt:
                lines.ended()
