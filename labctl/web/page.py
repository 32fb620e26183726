"""The page itself: one document without anything from elsewhere. Its data comes as JSON."""

from __future__ import annotations

import base64
import hashlib

_STYLE = """
:root{color-scheme:light dark;--back:#f6f7f9;--card:#fff;--ink:#1b1f24;--dim:#5b6470;
--line:#d8dde3;--good:#0a7d4f;--warn:#a35b00;--bad:#b3261e;--bar:#0072b2}
@media (prefers-color-scheme:dark){:root{--back:#111418;--card:#1b2027;--ink:#e8ecf1;--dim:#9aa5b1;
--line:#313943;--good:#4cc38a;--warn:#f0a83c;--bad:#ff7b72;--bar:#56b4e9}}
*{box-sizing:border-box}
body{margin:0 auto;padding:12px;max-width:60rem;background:var(--back);color:var(--ink);
font:16px/1.4 system-ui,sans-serif;overflow-wrap:anywhere}
header,section{background:var(--card);border:1px solid var(--line);border-radius:10px;
padding:12px 14px;margin-bottom:12px}
h1{font-size:1.25rem;margin:0}h2{font-size:1rem;margin:0 0 .4rem}
.row{display:flex;justify-content:space-between;gap:12px;align-items:baseline;flex-wrap:wrap}
.status{font-weight:700;font-size:1.15rem}.dim{color:var(--dim)}
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}
.bar{height:14px;background:var(--line);border-radius:7px;overflow:hidden;margin:10px 0}
.bar div{height:100%;width:0;background:var(--bar);transition:width .4s}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(7.5rem,1fr));gap:8px 14px}
.facts b{display:block;font-size:1.15rem;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;width:100%}td{padding:3px 10px 3px 0;vertical-align:top}
td:last-child{text-align:right;padding-right:0;font-variant-numeric:tabular-nums}
figure{margin:0 0 14px;overflow-x:auto}figcaption{margin-bottom:4px}
img{width:100%;height:auto;background:#fff;border-radius:6px;display:block}
.badge{color:#fff;font-weight:700;padding:2px 10px;border-radius:6px;background:#727272}
.REAL{background:#c04a00}.simulated{background:#0072b2}.replay{background:#007f5c}
ul{margin:0;padding-left:1.1rem}[hidden]{display:none}
"""

_SCRIPT = """
"use strict";
const at = id => document.getElementById(id);
const put = (id, text, kind) => { const e = at(id); e.textContent = text || "";
  if (kind !== undefined) e.className = kind; };
const show = (id, yes) => { at(id).hidden = !yes; };
const fill = (id, items, make) => at(id).replaceChildren(...items.map(make));
const make = (tag, text, kind) => { const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text; if (kind) e.className = kind; return e; };
const KIND = {running: "good", analysing: "good", finished: "good", paused: "warn",
  aborted: "warn", failed: "bad", interrupted: "bad"};
const LEAST_HEIGHT = 300;  // pixels; wider figures can be moved sideways, and opened alone
function line(name, value, kind) { const r = make("tr");
  r.append(make("td", name), make("td", value, kind)); return r; }
function figures(list) {
  const box = at("pictures");
  list.forEach((one, n) => {
    let f = box.children[n];
    if (!f) {
      f = make("figure"); const link = make("a"), img = make("img");
      img.onload = () => { const w = img.naturalWidth, h = img.naturalHeight;
        img.style.minWidth = Math.min(w, LEAST_HEIGHT * w / h) + "px"; };
      link.append(img); f.append(make("figcaption"), link); box.append(f);
    }
    f.children[0].textContent = one.title;
    const src = "figure/" + n + ".png?v=" + one.version, link = f.children[1];
    if (link.getAttribute("href") !== src) {
      link.href = src; link.firstChild.src = src; link.firstChild.alt = one.title;
    }
  });
  while (box.children.length > list.length) box.lastChild.remove();
}
function draw(s) {
  put("note", s.error || "", "bad"); show("note", !!s.error);
  if (s.error) return;
  put("clock", "as of " + s.now); put("disk", "disk left " + s.disk);
  const r = s.run; show("main", !!r); show("none", !r);
  fill("waiting", s.queue, t => make("li", t)); show("queue", s.queue.length > 0);
  put("count", s.waiting + " waiting: "); put("outlook", s.outlook); show("ahead", s.waiting > 0);
  const more = s.waiting - s.queue.length;
  put("more", "and " + more + " more"); show("more", more > 0);
  fill("running", s.others, t => make("li", t)); show("others", s.others.length > 0);
  show("safety", !!r && r.safety.length > 0); show("results", !!r && r.results.length > 0);
  show("figures", !!r && (r.figures.length > 0 || !!r.trouble));
  document.title = r ? r.status + " " + r.points : "labctl";
  if (!r) return;
  put("title", r.title); put("remark", r.remark);
  put("mode", r.mode, "badge " + r.mode);
  put("status", r.status + (r.stalled ? " – STALLED" : ""),
    "status " + (r.stalled ? "warn" : KIND[r.status] || ""));
  put("reason", r.reason); show("reason", !!r.reason);
  show("bar", r.part !== null); at("part").style.width = 100 * (r.part || 0) + "%";
  put("points", r.points); put("elapsed", r.elapsed);
  for (const id of ["left", "until", "age"]) { put(id, r[id]); show(id + "-fact", !!r[id]); }
  fill("confirmed", r.safety, e => line(e.instrument,
    e.state + (e.state === "safe" ? "" : ": " + e.detail), e.state === "safe" ? "good" : "bad"));
  fill("values", r.results, e => line(e.name, e.value));
  put("trouble", r.trouble); figures(r.figures);
}
async function look() {
  try {
    const answer = await fetch("state.json", {cache: "no-store"});
    if (!answer.ok) throw new Error("status " + answer.status);
    draw(await answer.json());
  } catch (error) { put("note", "no connection: " + error.message, "bad"); show("note", true); }
  setTimeout(look, document.hidden ? 10000 : 2000);
}
look();
"""

_BODY = """
<header><div class="row"><h1 id="title">labctl</h1><span id="mode" class="dim"></span></div>
<div id="remark" class="dim"></div><div id="note" hidden></div>
<div id="none" hidden>no run yet</div></header>
<section id="main" hidden><div class="row"><span id="status" class="status"></span>
<span id="clock" class="dim"></span></div><div id="reason" class="dim" hidden></div>
<div id="bar" class="bar"><div id="part"></div></div><div class="facts">
<div><span class="dim">points</span><b id="points"></b></div>
<div><span class="dim">elapsed</span><b id="elapsed"></b></div>
<div id="left-fact"><span class="dim">time left</span><b id="left"></b></div>
<div id="until-fact"><span class="dim">finishes</span><b id="until"></b></div>
<div id="age-fact"><span class="dim">last point</span><b id="age"></b></div></div></section>
<section id="ahead" hidden><b id="count"></b><span id="outlook"></span></section>
<section id="safety" hidden><h2>STOP: what each instrument answered</h2>
<table id="confirmed"></table></section>
<section id="figures" hidden><div id="trouble" class="dim"></div><div id="pictures"></div></section>
<section id="results" hidden><h2>Results</h2><table id="values"></table></section>
<section id="others" hidden><h2>Also running</h2><ul id="running"></ul></section>
<section id="queue" hidden><h2>Waiting</h2><ul id="waiting"></ul>
<div id="more" class="dim" hidden></div></section>
<div id="disk" class="dim"></div><noscript>This page needs JavaScript; the same as JSON:
<a href="state.json">state.json</a></noscript>
"""

PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>labctl</title>'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head><body>{_BODY}'
    f"<script>{_SCRIPT}</script></body></html>\n"
).encode()


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


#: What a browser may do with the page: run its own script and style, fetch from here, no more.
POLICY = (
    f"default-src 'none'; script-src 'sha256-{_hash(_SCRIPT)}'; "
    f"style-src 'sha256-{_hash(_STYLE)}'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
