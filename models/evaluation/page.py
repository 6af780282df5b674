"""A page that needs nothing from outside: its style sheet, its frame and its parts."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

STYLE = """\
:root{color-scheme:light dark;--page:#fbfaf8;--ink:#1d1b18;--soft:#6b665e;--line:#d9d4ca;--card:#fff;
--made:#d9822b;--real:#2a6fb0;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--page:#161513;--ink:#eceae5;--soft:#a19b90;--line:#3a3732;--card:#1f1d1a;
--made:#f0a050;--real:#6fb1ee;--bad:#ff8a80}}
*{box-sizing:border-box}body{margin:0 auto;max-width:68rem;padding:1rem;background:var(--page);color:var(--ink);
font:16px/1.55 system-ui,sans-serif}h1{font-size:1.6rem;margin:.5rem 0}h2{margin:2.2rem 0 .4rem;font-size:1.25rem}
h3{font-size:1rem;margin:0 0 .2rem}p{max-width:46rem}.soft,small{color:var(--soft)}
.grid{display:grid;gap:.8rem;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr))}
.card{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.8rem;margin:0}
.card p{margin:.2rem 0;font-size:.9rem}.card .large{font-size:1.5rem;font-weight:600}
.grid:has(img){grid-template-columns:repeat(auto-fill,minmax(min(22rem,100%),1fr))}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.92rem}td,th{padding:.35rem .7rem .35rem 0;
text-align:left;border-bottom:1px solid var(--line);vertical-align:top}th{font-weight:600}
td{min-width:4.5rem}td:last-child{min-width:13rem}
.beyond{color:var(--bad)}svg,img{max-width:100%;height:auto;display:block}
svg{width:100%;max-width:28rem}svg text{font-size:11px;fill:var(--soft)}
.made{fill:var(--made);opacity:.75}.real{fill:none;stroke:var(--real);stroke-width:2}
.axis{stroke:var(--line);stroke-width:1}.limit{stroke:var(--bad);stroke-width:1;stroke-dasharray:3 3}
.dot{fill:var(--made)}.point{fill:var(--made);opacity:.6}.mean{stroke:var(--ink);stroke-width:2}
.span{stroke:var(--made);stroke-width:3;opacity:.5}
.key::before{content:"";display:inline-block;width:.8em;height:.8em;margin:0 .35em 0 .9em;background:var(--k)}
"""


def document(heading: str, body: str) -> str:
    """A whole page; ``body`` is HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(heading)}</title><style>{STYLE}</style></head><body>{body}</body></html>"
    )


def bullets(heading: str, lines: Sequence[str]) -> str:
    """A heading and a list of texts."""
    return f"<h2>{escape(heading)}</h2><ul>{''.join(f'<li>{escape(x)}</li>' for x in lines)}</ul>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts; wide ones scroll by themselves."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) + "</tr>"

    body = "".join(cells("td", row) for row in rows)
    return f"<div class='wide'><table>{cells('th', head)}{body}</table></div>"


def grid(cards: Iterable[str]) -> str:
    """Cards of HTML, as many beside each other as there is room for."""
    return f"<div class='grid'>{''.join(f'<figure class=card>{card}</figure>' for card in cards)}</div>"


def figure(png: bytes, text: str) -> str:
    """A picture with what it shows."""
    data = base64.b64encode(png).decode()
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{data}"><p>{escape(text)}</p>'
