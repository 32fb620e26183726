"""How the report looks: light and dark, on a screen, on paper, on a phone."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--back:#f6f7f9;--card:#fff;--ink:#1b1f24;--dim:#5b6470;--line:#d8dde3;
--good:#0a6b45;--bad:#a3241c;--odd:#8a4b00;--band:#dfe8e3;--link:#0060a0}
@media (prefers-color-scheme:dark){:root{--back:#111418;--card:#1b2027;--ink:#e8ecf1;--dim:#9aa5b1;
--line:#313943;--good:#4cc38a;--bad:#ff8a80;--odd:#f0a83c;--band:#27382f;--link:#7ab8e8}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:72rem;background:var(--back);color:var(--ink);
font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0}h2{font-size:1.35rem;line-height:1.3;
margin:2.5rem 0 .25rem}h3{font-size:1.1rem;margin:0 0 .5rem}p{margin:.5rem 0}
a{color:var(--link)}.dim{color:var(--dim)}small,.small{font-size:.86rem}
section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:1rem;
margin:1rem 0}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;vertical-align:top;padding:.4rem .6rem .4rem 0;
border-bottom:1px solid var(--line);overflow-wrap:break-word}
th{color:var(--dim);font-weight:600;font-size:.86rem}tr:last-child td{border-bottom:0}
.number{white-space:nowrap}.remark{min-width:14rem}
.good{color:var(--good)}.bad{color:var(--bad)}.odd{color:var(--odd)}
.verdict{font-weight:600}td .verdict{white-space:nowrap}
.tag{border:1px solid var(--line);border-radius:4px;padding:0 .3em;
font-size:.8rem;color:var(--dim);white-space:nowrap}
.pull{display:inline-block;vertical-align:middle;width:90px;height:12px}
.sigma{display:inline-block;min-width:4.2em}.pull .band{fill:var(--band)}
.pull .axis{stroke:var(--line)}.pull .dot{fill:var(--ink)}
figure{margin:1rem 0;padding:.5rem;background:#fff;border:1px solid var(--line);border-radius:8px}
figure img{display:block;max-width:100%;height:auto;margin:0 auto}
figcaption{color:#444;font-size:.86rem;text-align:center}
ul{margin:.5rem 0;padding-left:1.2rem}nav a{white-space:nowrap;margin-right:1rem}
@media screen and (max-width:52rem){
body{padding:.75rem}section{padding:.75rem}
.rows thead{display:none}.rows,.rows tbody,.rows tr,.rows td{display:block}
.rows tr{border-bottom:1px solid var(--line);padding:.5rem 0}.rows tr:last-child{border:0}
.rows td{border:0;padding:.1rem 0;white-space:normal;min-width:0}
.rows td[data-head]::before{content:attr(data-head) ": ";color:var(--dim)}
.rows td:empty{display:none}.counts td{display:inline-block;margin-right:1rem}
}
@media print{:root{--back:#fff;--card:#fff;--ink:#000;--dim:#444;--line:#bbb;--good:#064;--bad:#900;
--odd:#740;--band:#e4ece7;--link:#000}body{max-width:none;font-size:10pt}
section{border:0;padding:0}figure,tr{break-inside:avoid}h2,h3{break-after:avoid}nav{display:none}}
"""
