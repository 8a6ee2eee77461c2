# SPDX-License-Identifier: Apache-2.0
"""The status page's style sheet: light and dark, wide and narrow."""

STYLE = """
:root{--ink:#1c2126;--soft:#5d6873;--paper:#f6f7f8;--card:#fff;--line:#e1e5e9;--good:#0f7b4b;--bad:#b3261e;--mark:#8a5a00;--markbg:#fff3d6}
@media (prefers-color-scheme:dark){:root{--ink:#e7eaed;--soft:#9aa5b0;--paper:#111518;--card:#191e23;--line:#2b333a;--good:#5fd39b;--bad:#ff8a80;--mark:#ffd479;--markbg:#3a2e12}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:76rem;padding:1rem 1.25rem 2rem;background:var(--paper);color:var(--ink);font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:.25rem 1rem}
h1{font-size:1.5rem;margin:.5rem 0;overflow-wrap:anywhere}
h2{font-size:1rem;margin:1.75rem 0 .5rem}
.by,footer{color:var(--soft)}
footer{margin-top:2rem;display:flex;gap:1rem}
a{color:inherit}
.simulated{margin:0 0 .5rem;padding:.5rem .75rem;border-radius:.5rem;background:var(--markbg);color:var(--mark);font-weight:600}
.ill{margin:.5rem 0 0;color:var(--bad);font-weight:600;overflow-wrap:anywhere}
.ill::before{content:"\\25B2  "}
.sums{display:grid;grid-template-columns:repeat(auto-fit,minmax(8rem,1fr));gap:.75rem;margin:.75rem 0}
.sums div{padding:.6rem .8rem;border:1px solid var(--line);border-radius:.5rem;background:var(--card)}
dt{color:var(--soft);font-size:.8rem}
dd{margin:0;font-size:1.35rem;font-weight:600;font-variant-numeric:tabular-nums}
table{width:100%;border-collapse:separate;border-spacing:0;background:var(--card);border:1px solid var(--line);border-radius:.5rem;overflow:hidden}
th,td{padding:.45rem .75rem;text-align:left;vertical-align:top;border-top:1px solid var(--line);overflow-wrap:anywhere}
thead th{border-top:0;color:var(--soft);font-size:.8rem;font-weight:600;white-space:nowrap}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.absent,.nobody td{color:var(--soft)}
.up,.down{font-weight:600;white-space:nowrap}
.up{color:var(--good)}.down{color:var(--bad)}
.up::before{content:"\\25CF  "}.down::before{content:"\\25B2  "}
@media (max-width:44rem){
thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
table,tbody,tr{display:block}
tr{padding:.5rem .75rem;border-top:1px solid var(--line)}
tr:first-child{border-top:0}
td{display:flex;justify-content:space-between;gap:1rem;padding:.15rem 0;border:0;text-align:right}
td::before{content:attr(data-label);color:var(--soft);text-align:left;white-space:nowrap}
td.absent{display:none}
}
""".replace("\n", "")
