"""Writes a validation as a page that needs nothing else: the table, and the worst cases to look at."""

import base64
import html

from audobon.models.scores import Figures, PictureScore, TextScore, Validation, figures_of, medians


def validation_page(found: Validation, *, worst: int) -> str:
    """Return the page; `worst` cases are shown."""
    body = _pictures(found, worst) if found.pictures else _pages(found, worst)
    return _PAGE.format(name=html.escape(found.model), body=body)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{name}: validation</title>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>
body {{ font: 15px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: #1d2430;
  max-width: 1080px; margin: 2.5rem auto; padding: 0 1.5rem }}
h1 {{ font-size: 1.7rem; margin: 0 }} h2 {{ font-size: 1.1rem; margin: 2.2rem 0 .6rem }}
p {{ color: #68717f; margin: .3rem 0 1.4rem }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .35rem .8rem .35rem 0; vertical-align: top }}
th, td {{ border-bottom: 1px solid #e3e6eb }}
td.n, th.n {{ text-align: right; font-variant-numeric: tabular-nums }}
figure {{ display: inline-block; margin: 0 1rem 1rem 0 }}
figcaption {{ color: #68717f; font-size: .85rem }}
img {{ width: 320px; image-rendering: pixelated; display: block; border: 1px solid #e3e6eb }}
</style></head><body>
<h1>{name}</h1>
{body}
</body></html>
"""


def _pictures(found: Validation, worst: int) -> str:
    rows = [_picture_row(score) for score in found.pictures]
    rows.append(_row("median", "", medians(found.pictures)))
    head = "".join(
        f"<th{kind}>{word}</th>"
        for word, kind in (
            ("picture", ""),
            ("size", ""),
            ("PSNR", ' class="n"'),
            ("SSIM", ' class="n"'),
            ("Lanczos: PSNR", ' class="n"'),
            ("SSIM", ' class="n"'),
            ("gain", ' class="n"'),
        )
    )
    cases = "".join(_case(score) for score in found.pictures[:worst] if score.crops)
    shown = f"<h2>Where the worst differ most</h2>{cases}" if cases else ""
    return (
        f"<p>{len(found.pictures)} pictures, the worst first."
        " PSNR over all colours, SSIM of the brightness.</p>"
        f"<table><tr>{head}</tr>{''.join(rows)}</table>{shown}"
    )


def _picture_row(score: PictureScore) -> str:
    size = f"{score.width}×{score.height}"
    return _row(score.name, size, figures_of(score))


def _row(name: str, size: str, found: Figures) -> str:
    figures = (
        f"{found.psnr_db:.2f} dB",
        f"{found.ssim:.4f}",
        f"{found.plain_psnr_db:.2f} dB",
        f"{found.plain_ssim:.4f}",
        f"{found.gain_db:+.2f} dB",
    )
    cells = "".join(f'<td class="n">{figure}</td>' for figure in figures)
    return f"<tr><td>{html.escape(name)}</td><td>{size}</td>{cells}</tr>"


def _case(score: PictureScore) -> str:
    figures = "".join(
        f'<figure><img alt="" src="data:image/png;base64,{base64.b64encode(crop).decode()}">'
        f"<figcaption>{caption}</figcaption></figure>"
        for crop, caption in zip(score.crops, ("without the model", "the model", "reference"), strict=True)
    )
    x, y = score.where
    title = f"{html.escape(score.name)}, {score.psnr_db:.2f} dB, at {x}, {y}"
    return f"<div><h2>{title}</h2>{figures}</div>"


def _pages(found: Validation, worst: int) -> str:
    rows = "".join(
        f'<tr><td>{html.escape(page.name)}</td><td class="n">{page.exact} of {len(page.wanted)}</td>'
        f'<td class="n">{page.error_rate:.1%}</td></tr>'
        for page in found.pages
    )
    cases = "".join(_misread(page) for page in found.pages[:worst] if page.errors)
    shown = f"<h2>What was read wrongly</h2><table>{cases}</table>" if cases else ""
    return (
        f"<p>{len(found.pages)} pages, the worst first;"
        f" {found.exact_percent:.0f} % of the balloons to the letter,"
        f" {found.error_rate:.1%} of the characters wrong.</p>"
        '<table><tr><th>page</th><th class="n">balloons exact</th><th class="n">characters wrong</th></tr>'
        f"{rows}</table>{shown}"
    )


def _misread(page: TextScore) -> str:
    def lines(texts: tuple[str, ...]) -> str:
        return "<br>".join(html.escape(text) for text in texts)

    return (
        f"<tr><td>{html.escape(page.name)}</td><td>read: {lines(page.found)}</td>"
        f"<td>is: {lines(page.wanted)}</td></tr>"
    )
