"""The frame of the web page of a derivation: its head and its style sheet."""

from __future__ import annotations

# Braces are doubled, since the page is filled by str.format.
PAGE = """<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" lang="{language}">
<head>
<meta charset="utf-8" />
<meta name="viewport" content="width=device-width, initial-scale=1" />
<meta name="color-scheme" content="light dark" />
<meta name="description" content="{description}" />
<title>{title}</title>
<style>
:root {{
  color-scheme: light dark;
  --paper: #fbfaf7; --card: #ffffff; --ink: #1d1d24; --soft: #5a5a66; --line: #e2dfd6;
  --accent: #1b5faa; --wrong: #b3261e; --good: #1d6b3a;
}}
@media (prefers-color-scheme: dark) {{
  :root {{
    --paper: #16171b; --card: #1e2026; --ink: #eceae4; --soft: #a5a5b0; --line: #34363e;
    --accent: #8fbcff; --wrong: #ff9d94; --good: #86d6a1;
  }}
}}
* {{ box-sizing: border-box; }}
body {{
  margin: 0; padding: clamp(1rem, 4vw, 3rem) clamp(0.9rem, 4vw, 2rem);
  background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.6 "Charter", "Bitstream Charter", "Sitka Text", "Cambria", "Noto Serif", serif;
}}
main {{ max-width: 60rem; margin: 0 auto; }}
article + article {{ margin-top: 4rem; }}
math {{
  font-family: "STIX Two Math", "Latin Modern Math", "Cambria Math", "STIX Math", math, serif;
  font-size: 1.08em;
}}
h1 {{ font-size: 1.55rem; line-height: 1.3; font-weight: 600; margin: 0 0 1rem; }}
h1 math {{ font-size: 1.15em; margin-left: 0.15em; }}
h2 {{ font-size: 1.12rem; line-height: 1.4; font-weight: 600; margin: 0 0 0.6rem; }}
h3, h4, h5, h6 {{ font-size: 1rem; font-weight: 600; margin: 0 0 0.5rem; }}
section {{ margin: 2.2rem 0 0; }}
section section {{ margin: 1.2rem 0 0; padding-left: 1rem; border-left: 2px solid var(--line); }}
p {{ margin: 0.8rem 0; max-width: 44rem; }}
.manner, .sizes {{ color: var(--soft); font-size: 0.95rem; }}
.manner {{ margin: 0.2rem 0 0; }}
.sizes {{ list-style: none; margin: 0.9rem 0 0; padding: 0; display: flex; flex-wrap: wrap; gap: 0 1.2em; }}
.lines {{
  list-style: none; margin: 0.6rem 0; padding: 0; display: grid; row-gap: 0.6rem; line-height: 1.35;
  align-items: baseline;
  grid-template-columns: max-content max-content minmax(0, max-content) minmax(11rem, 1fr);
}}
.lines > li {{ display: grid; grid-column: 1 / -1; grid-template-columns: subgrid; align-items: baseline; }}
.left {{ text-align: right; }}
.relation {{ padding: 0 0.45em; }}
.right {{ overflow-x: auto; overflow-y: hidden; padding: 0.15em 0; }}
.heading .right {{ font-size: 1.1em; }}
.note {{ padding-left: 2.2em; color: var(--soft); font-size: 0.95rem; }}
.size {{ color: var(--accent); margin-right: 0.9em; white-space: nowrap; }}
.under {{ color: var(--accent); }}
.unequal .right, .unequal .relation, .unequal .note {{ color: var(--wrong); }}
.whole {{ white-space: nowrap; }}
section.result {{
  background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--accent);
  border-radius: 6px; padding: 1rem clamp(0.9rem, 3vw, 1.5rem) 1.1rem;
}}
section.result h2 {{ color: var(--accent); }}
.use {{ margin-bottom: 0; }}
.reading strong {{ font-weight: 600; }}
figure {{ margin: 2rem 0 0; overflow-x: auto; }}
figure svg {{ max-width: 100%; height: auto; }}
figcaption {{ color: var(--soft); font-size: 0.95rem; }}
footer {{ margin-top: 2rem; border-top: 1px solid var(--line); padding-top: 0.6rem; font-size: 0.95rem; }}
footer p {{ margin: 0.3rem 0; color: var(--soft); }}
footer .passed::before {{ content: "\\2713\\00a0"; color: var(--good); }}
footer .failed {{ color: var(--wrong); font-weight: 600; }}
footer .failed::before {{ content: "\\2717\\00a0"; }}
@media (max-width: 44rem) {{
  body {{ font-size: 1rem; }}
  .lines {{ grid-template-columns: max-content max-content minmax(0, 1fr); }}
  .note {{ grid-column: 3; padding-left: 0; padding-bottom: 0.3rem; }}
  figure svg {{ max-width: none !important; }}
}}
@media print {{
  :root {{ --paper: #fff; --card: #fff; --ink: #000; --soft: #333; --line: #bbb; --accent: #000; }}
  body {{ padding: 0; font-size: 11pt; }}
  main {{ max-width: none; }}
  .lines > li, figure, section.result {{ break-inside: avoid; }}
  h1, h2, h3 {{ break-after: avoid; }}
  .right {{ overflow: visible; }}
}}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
