"""What can be seen of a network as one HTML file that needs nothing else: pictures inline, no script, no network; read
on a phone as on a desk, light or dark as the reader's system.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from striate.blueprint import CannotTrain
from striate.blueprint.said import visible
from striate.judging.trained import metadata_of

if TYPE_CHECKING:
    from striate.visualize.wanted import Wanted

STYLE = """
:root{color-scheme:light dark;--line:color-mix(in srgb,CanvasText 18%,Canvas);
--quiet:color-mix(in srgb,CanvasText 66%,Canvas)}
body{font:16px/1.5 system-ui,sans-serif;background:Canvas;color:CanvasText;max-width:44rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem;line-height:1.25;margin:.5rem 0;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:0 0 .25rem;overflow-wrap:anywhere}
section{border-top:1px solid var(--line);padding:1.25rem 0}
p{margin:.35rem 0}.quiet{color:var(--quiet);font-size:.9rem}
nav ul{padding:0;list-style:none;display:flex;flex-wrap:wrap;gap:.35rem .9rem;margin:.75rem 0}
figure{margin:.75rem 0}
img{display:block;width:100%;max-width:640px;height:auto;background:#fff;border-radius:6px;border:1px solid var(--line)}
figcaption{margin-top:.5rem;font-size:.9rem}figcaption div{white-space:pre-wrap;overflow-wrap:anywhere}
summary{cursor:pointer;padding:.25rem 0}
.out{border-left:3px solid var(--line);padding-left:.75rem;white-space:pre-wrap;overflow-wrap:anywhere}
a{color:LinkText}
@media(max-width:40rem){figure{margin-inline:-1rem}figcaption{padding-inline:1rem}
img{border-width:1px 0;border-radius:0}}
@media(prefers-color-scheme:dark){img{filter:brightness(.88)}}
"""
LOSSLESS: dict[str, Any] = {"lossless": True, "quality": 50}
LOSSY: dict[str, Any] = {"quality": 90}  # of 100: what is left out of a photo is not seen
SHORT = 5  # lines; more can be folded away
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # a reader's browser asks nobody for anything


class Section(NamedTuple):
    """One thing that was seen: the picture (PNG), the same in words (`line`); how it is `read`; where it is from. `why`
    it is not there, where there is no picture. `photos`: are in it, and a little of it may be left out.
    """

    title: str
    read: str
    source: str
    png: bytes = b""
    line: str = ""
    why: str = ""
    photos: bool = False


def facts(of: Wanted) -> list[str]:
    """What a report says of a network above everything else."""
    learnt = metadata_of(of.model).get("provenance") or {}
    lines = [f"{of.name}: {sum(parameter.numel() for parameter in of.model.parameters()):,} parameters"]
    with suppress(CannotTrain):
        lines = [f"{lines[0]}, reads {of.reads.volume}"]
    lines += [f"Learnt from {learnt['data']}, {learnt.get('examples', 0):,} images"] if learnt.get("data") else []
    return lines + ([f"Looked at with {of.data.name}"] if of.data else [])


def report(title: str, facts: Sequence[str], sections: Sequence[Section]) -> str:
    """The whole document; `facts` are lines about the network. What could not be drawn comes last, with the reasons."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
    head += f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    head += f"<title>{_text(title)}</title><style>{STYLE}</style>"
    parts = [(one.title, _drawn(one)) for one in sections if one.png]
    if reasons := _reasons(sections):
        parts.append(("What could not be shown", reasons))
    links = "".join(f'<li><a href="#s{i}">{_text(name)}</a></li>' for i, (name, _) in enumerate(parts))
    body = "\n".join(
        f'<section id="s{i}"><h2>{_text(name)}</h2>{inside}</section>' for i, (name, inside) in enumerate(parts)
    )
    said = "".join(f'<p class="quiet">{_text(fact)}</p>' for fact in facts)
    nav = f'<nav aria-label="Contents"><ul>{links}</ul></nav>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>'
        f"<header><h1>{_text(title)}</h1>{said}{nav}</header>\n<main>\n{body}\n</main></body></html>\n"
    )


def _drawn(one: Section) -> str:
    alt, said = visible(one.line.split("\n")[0]) or one.title, f"<div>{_text(one.line)}</div>"
    if one.line.count("\n") > SHORT:
        said = f"<details open><summary>The same in words</summary>{said}</details>"
    kind, picture = lean(one.png, one.photos)
    return (
        f"<p>{_text(one.read)}</p>\n"
        f'<figure><img alt="{escape(alt)}" src="data:image/{kind};base64,{b64encode(picture).decode()}">'
        f"<figcaption>{said}</figcaption></figure>\n"
        f'<p class="quiet">{_text(one.source)}</p>'
    )


def lean(png: bytes, photos: bool = False) -> tuple[str, bytes]:
    """A picture in few bytes, and their kind: WebP, without loss of a chart, without one to be seen of `photos`; the
    PNG itself where that is smaller, or too large for WebP (16,383 pixels a side).
    """
    from PIL import Image

    pixels, found = Image.open(BytesIO(png)).convert("RGB"), [("png", png)]
    for options in (LOSSLESS, LOSSY) if photos else (LOSSLESS,):
        file = BytesIO()
        with suppress(OSError, ValueError):
            pixels.save(file, "WEBP", **options)
            found.append(("webp", file.getvalue()))
    return min(found, key=lambda one: len(one[1]))


def _reasons(sections: Sequence[Section]) -> str:
    """Each reason once, with all that it is the reason for."""
    by_reason = dict[str, list[str]]()
    for one in sections:
        if not one.png:
            by_reason.setdefault(one.why, []).append(one.title)
    return "".join(
        f'<p>{_text(", ".join(titles))}</p><p class="out">{_text(why)}</p>' for why, titles in by_reason.items()
    )


def _text(text: str) -> str:
    """Names come out of files: nothing in them is markup, nor steers what shows it."""
    return escape(visible(text, "\n"))
