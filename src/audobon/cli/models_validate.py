"""`audobon models validate`: how near does a model come to references?"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from audobon.cli.terminal import one_line, print_json, printable, say

if TYPE_CHECKING:
    from audobon.models.scores import Validation

_REPORT_WORST = 5


@click.command("validate")
@click.argument("name")
@click.option(
    "--against",
    required=True,
    metavar="FOLDER",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where the references lie.",
)
@click.option("--worst", type=click.IntRange(min=0), default=None, help="Show this many, the worst first.")
@click.option(
    "--at-least",
    type=float,
    metavar="DB",
    help="End with status 10 below this median PSNR; of models that read: below this percentage of balloons.",
)
@click.option(
    "-o",
    "--output",
    "target",
    metavar="REPORT.html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a report that shows the worst cases.",
)
@click.option("--overwrite", is_flag=True, help="Replace REPORT.html if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def validate_model(
    name: str,
    against: Path,
    worst: int | None,
    at_least: float | None,
    target: Path | None,
    *,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Compare what a model makes with references.

    A model that makes pictures gets FOLDER/input/NAME and is compared with FOLDER/reference/NAME; without
    FOLDER/input it gets the references (or the pictures of FOLDER itself) made smaller by Lanczos. PSNR is
    over all colours, SSIM of the brightness; both stand beside those of Lanczos alone.

    A model that reads gets the pages of FOLDER and is compared with FOLDER/lettering.json, as in the sample
    comic: {"page.png": {"balloons": ["what it says", ...]}}, in reading order.
    """
    from audobon.app import open_app, picture_limits
    from audobon.cli.targets import check_target, write_target
    from audobon.compute.work import model_names
    from audobon.models.validation import validate
    from audobon.pages.operations import LettersSettings

    if target is not None:
        check_target(target, (".html",), overwrite=overwrite)
    app = open_app()
    found = validate(
        name,
        app.models_folder,
        against,
        letter_models=model_names(LettersSettings()),
        limits=picture_limits(app.settings),
        threads=app.settings.models.threads or None,
        has_crops=target is not None,
        tell=lambda words: say(f"  {printable(words)}"),
    )
    if target is not None:
        from audobon.models.validate_report import validation_page

        shown = _REPORT_WORST if worst is None else worst
        write_target(target, validation_page(found, worst=shown).encode(), overwrite=overwrite)
        say(f"the report lies in {target}")
    if as_json:
        print_json(_as_json(found))
    else:
        click.echo("\n".join(_picture_lines(found, worst) if found.pictures else _page_lines(found, worst)))
    if at_least is not None:
        _judge(found, at_least)


def _picture_lines(found: "Validation", worst: int | None) -> list[str]:
    from audobon.models.scores import figures_of, medians

    rows = [(one_line(one.name), figures_of(one)) for one in found.pictures[:worst]]
    rows.append((f"median of {len(found.pictures)}", medians(found.pictures)))
    width = max(len(name) for name, _ in rows)
    lines = [f"{'':<{width}}      PSNR    SSIM    Lanczos: PSNR    SSIM        gain"]
    for name, row in rows:
        lines.append(
            f"{name:<{width}}  {row.psnr_db:5.2f} dB  {row.ssim:.4f}         {row.plain_psnr_db:5.2f} dB"
            f"  {row.plain_ssim:.4f}   {row.gain_db:+6.2f} dB"
        )
    return lines


def _page_lines(found: "Validation", worst: int | None) -> list[str]:
    names = [one_line(page.name) for page in found.pages[:worst]]
    width = max([len("together"), *map(len, names)])
    lines = [f"{'':<{width}}  balloons exact  characters wrong"]
    for name, page in zip(names, found.pages[:worst], strict=True):
        exact = f"{page.exact} of {len(page.wanted)}"
        lines.append(f"{name:<{width}}  {exact:>14}  {page.error_rate:16.1%}")
        if page.errors:
            lines += [
                f"    read: {one_line(' | '.join(page.found))}",
                f"    is:   {one_line(' | '.join(page.wanted))}",
            ]
    exact = f"{sum(page.exact for page in found.pages)} of {sum(len(page.wanted) for page in found.pages)}"
    lines.append(f"{'together':<{width}}  {exact:>14}  {found.error_rate:16.1%}")
    return lines


def _as_json(found: "Validation") -> dict[str, object]:
    import msgspec

    from audobon.models.scores import medians

    if found.pictures:
        rows = [
            {key: value for key, value in msgspec.to_builtins(one).items() if key != "crops"}
            for one in found.pictures
        ]
        return {"model": found.model, "median": medians(found.pictures)._asdict(), "pictures": rows}
    together = {"exact_percent": found.exact_percent, "error_rate": found.error_rate}
    return {"model": found.model, **together, "pages": found.pages}


def _judge(found: "Validation", at_least: float) -> None:
    from audobon.errors import BelowThreshold

    if found.pictures and found.median_psnr_db < at_least:
        raise BelowThreshold(
            f"{found.model} reaches {found.median_psnr_db:.2f} dB, {at_least:g} dB are asked for"
        )
    if found.pages and found.exact_percent < at_least:
        raise BelowThreshold(
            f"{found.model} reads {found.exact_percent:.1f} % of the balloons, {at_least:g} % are asked for"
        )
