"""One self-contained HTML page: pictures and styles inside, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from synthaug.storage import new_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #dde3ea; --card: #fff; --page: #f5f7fa;
  --better: #157347; --worse: #b3261e; --unclear: #35618e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa6b5; --line: #333c48; --card: #1c222b;
  --page: #12161c; --better: #58c08a; --worse: #f08a80; --unclear: #8ab4e0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 0 0 .75rem; }
p { margin: .4rem 0; } .lead { color: var(--soft); margin-bottom: 1.5rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1.25rem;
  margin: 1rem 0; }
.verdict { border-left: 6px solid var(--unclear); } .verdict p:first-of-type { font-size: 1.2rem; font-weight: 600; }
.better { border-left-color: var(--better); } .worse { border-left-color: var(--worse); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: 1rem; }
figure { margin: 0; } figcaption { color: var(--soft); font-size: .9rem; margin-top: .4rem; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; image-rendering: pixelated; }
img.smooth { image-rendering: auto; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .95rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .5rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 600; }
tr.difference td { font-weight: 600; }
li { margin: .3rem 0; } pre { overflow-x: auto; background: var(--page); padding: .7rem; border-radius: 6px; }
footer { color: var(--soft); font-size: .85rem; margin-top: 1.5rem; }
"""


class Report:
    """Collects sections and writes them as one HTML file.

    Args:
        title: Heading of the page.
        lead: A sentence below it.

    Example:
        >>> page = Report("Digits", "Does it help?")
        >>> page.text("How it was measured", ["5 seeds"])
        >>> "5 seeds" in page.render()
        True
    """

    def __init__(self, title: str, lead: str) -> None:
        self.title = title
        self._parts = [f"<h1>{html.escape(title)}</h1><p class='lead'>{html.escape(lead)}</p>"]
        self._footer = ""

    def verdict(self, kind: str, words: str, detail: str) -> None:
        """Add the answer; ``kind`` (better, worse, unclear) colours it."""
        self._parts.append(
            f"<section class='verdict {html.escape(kind)}'><p>{html.escape(words)}</p>"
            f"<p>{html.escape(detail)}</p></section>"
        )

    def table(
        self,
        heading: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        note: str = "",
        *,
        difference: bool = True,
    ) -> None:
        """Add a table; its last row is set off, when it is the difference of those above."""
        head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
        body = "".join(
            f"<tr{' class=difference' if difference and row is rows[-1] else ''}>"
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
            + "</tr>"
            for row in rows
        )
        self._parts.append(
            f"<section><h2>{html.escape(heading)}</h2><div class='scroll'><table><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table></div><p>{html.escape(note)}</p></section>"
        )

    def pictures(
        self, heading: str, pictures: Sequence[tuple[bytes | Image.Image, str]], *, smooth: bool = False
    ) -> None:
        """Add PNG bytes or pictures side by side, each with a caption."""
        figures = "".join(
            f"<figure><img {'class=smooth ' if smooth else ''}alt='{html.escape(caption, quote=True)}' "
            f"src='data:image/png;base64,{base64.b64encode(_png(picture)).decode()}'>"
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
            for picture, caption in pictures
        )
        self._parts.append(f"<section><h2>{html.escape(heading)}</h2><div class='pair'>{figures}</div></section>")

    def text(self, heading: str, points: Sequence[str]) -> None:
        """Add a list of sentences."""
        items = "".join(f"<li>{html.escape(point)}</li>" for point in points)
        self._parts.append(f"<section><h2>{html.escape(heading)}</h2><ul>{items}</ul></section>")

    def code(self, heading: str, text: str) -> None:
        """Add a command or some code."""
        self._parts.append(f"<section><h2>{html.escape(heading)}</h2><pre>{html.escape(text)}</pre></section>")

    def footer(self, text: str) -> None:
        """Set the small print at the end."""
        self._footer = f"<footer>{html.escape(text)}</footer>"

    def render(self) -> str:
        """Return the page."""
        return (
            "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
            "<meta name='viewport' content='width=device-width, initial-scale=1'>"
            f"<title>{html.escape(self.title)}</title><style>{_STYLE}</style></head>"
            f"<body><main>{''.join(self._parts)}{self._footer}</main></body></html>\n"
        )

    def save(self, path: Path) -> None:
        """Write the page, atomically."""
        with new_file(path) as temporary:
            temporary.write_text(self.render(), encoding="utf-8")


def _png(picture: bytes | Image.Image) -> bytes:
    if isinstance(picture, bytes):
        return picture
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def figure_png(figure: Figure) -> bytes:
    """Draw a matplotlib figure as PNG bytes, at the resolution that pages show."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=140)
    return stream.getvalue()


def paired_plot(without: Sequence[float], with_samples: Sequence[float]) -> bytes:
    """Draw one line a seed from its value without to its value with samples, and the means, as PNG bytes.

    Args:
        without: Shares from 0 to 1, one a seed.
        with_samples: Shares, in the same order.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 0.9 + 0.38 * (len(without) + 1)), layout="constrained")
    axes = figure.subplots()
    pairs = [*zip(without, with_samples, strict=True)]
    rows = [*pairs, (sum(without) / len(without), sum(with_samples) / len(with_samples))]
    for row, (before, after) in enumerate(rows):
        mean = row == len(pairs)
        axes.plot([100 * before, 100 * after], [row, row], color="0.75", linewidth=3 if mean else 1.5, zorder=1)
        axes.scatter([100 * before], [row], color="0.45", s=70 if mean else 34, label="real only" if mean else None)
        axes.scatter(
            [100 * after], [row], color="tab:blue", s=70 if mean else 34, label="real + samples" if mean else None
        )
    axes.set_yticks(range(len(rows)), [*(f"seed {seed}" for seed in range(len(pairs))), "mean"])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("accuracy on test (%)")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    return figure_png(figure)
