"""The style sheet of report.html: no other files, nothing loaded from the network, light and dark."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --surface: #ffffff; --ink: #1b1f27; --muted: #5d6674; --line: #dfe3e8; --soft: #eef1f4;
  --torch: #c8501f; --onnxruntime: #1f64ad; --good: #17784a; --fair: #8f6400; --bad: #b3261e;
  --good-soft: #e3f4ea; --fair-soft: #fbf1d8; --bad-soft: #fce6e4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12151a; --surface: #1a1f26; --ink: #e7eaee; --muted: #9aa4b2; --line: #323a45; --soft: #232a33;
    --torch: #f08a5d; --onnxruntime: #6cabf0; --good: #5fd197; --fair: #e2b54b; --bad: #ff8a80;
    --good-soft: #16352a; --fair-soft: #3a2f13; --bad-soft: #431f1d;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1080px; margin: 0 auto; padding: 32px 24px 64px; }
header { display: flex; flex-wrap: wrap; gap: 8px 24px; align-items: flex-start; justify-content: space-between; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 12px; }
h3 { font-size: 15px; margin: 16px 0 6px; }
p { margin: 0 0 12px; }
.about, .note { color: var(--muted); }
.about { margin: 0; overflow-wrap: anywhere; }
.note { font-size: 13px; margin: 12px 0 0; max-width: 100ch; }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; font-size: 13px; }
pre {
  background: var(--soft); border-radius: 8px; padding: 12px 16px; margin: 0; white-space: pre-wrap;
  overflow-wrap: anywhere;
}
section {
  background: var(--surface); border: 1px solid var(--line); border-radius: 12px; padding: 20px 24px; margin-top: 20px;
}
.badge {
  display: inline-block; border-radius: 999px; padding: 5px 14px; font-size: 14px; font-weight: 600;
  white-space: nowrap; background: var(--soft); color: var(--muted);
}
.badge.good, .chip.good { background: var(--good-soft); color: var(--good); }
.badge.fair, .chip.fair { background: var(--fair-soft); color: var(--fair); }
.badge.bad, .chip.bad { background: var(--bad-soft); color: var(--bad); }
.alerts {
  background: var(--bad-soft); color: var(--bad); border-radius: 12px; padding: 14px 16px 14px 34px; margin: 20px 0 0;
  font-weight: 600;
}
.gist { display: grid; grid-template-columns: repeat(auto-fit, minmax(240px, 1fr)); gap: 16px 28px; }
.gist h2 { margin-bottom: 6px; }
.gist ul { margin: 0; padding-left: 18px; }
.gist li { margin-bottom: 4px; overflow-wrap: anywhere; }
.gist .good h2 { color: var(--good); }
.gist .fair h2 { color: var(--fair); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 12px; margin-top: 20px; }
.tile {
  background: var(--surface); border: 1px solid var(--line); border-radius: 12px; padding: 14px 16px;
  overflow-wrap: anywhere;
}
.tile .what { color: var(--muted); font-size: 13px; }
.tile .value { font-size: 26px; font-weight: 650; line-height: 1.25; letter-spacing: -0.01em; white-space: nowrap; }
.tile .more { color: var(--muted); font-size: 13px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th {
  text-align: right; font-weight: 500; font-size: 13px; color: var(--muted); padding: 4px 10px 6px;
  border-bottom: 1px solid var(--line); white-space: nowrap; vertical-align: bottom;
}
td { text-align: right; padding: 6px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
table.many th, table.many td { padding: 5px 0 5px 8px; font-size: 13px; }
table.many th:first-child, table.many td:first-child { padding-left: 0; }
tbody tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th.left, td.left { text-align: left; }
td.wrap { white-space: normal; text-align: left; min-width: 22ch; overflow-wrap: anywhere; }
tr.float32 td { color: var(--muted); }
tr.group td { border-bottom: 0; padding-top: 14px; font-size: 13px; font-weight: 600; color: var(--ink); }
tr.open td { border-bottom: 0; }
tr.why td { white-space: normal; padding-top: 0; font-size: 13px; color: var(--muted); }
td .best { font-weight: 650; color: var(--ink); }
.dot { display: inline-block; width: 10px; height: 10px; border-radius: 50%; margin-right: 8px; border: 2px solid; }
.dot.torch { color: var(--torch); background: var(--torch); border-color: var(--torch); }
.dot.onnxruntime { color: var(--onnxruntime); background: var(--onnxruntime); border-color: var(--onnxruntime); }
.dot.hollow { background: none; }
.chip {
  display: inline-block; border-radius: 6px; padding: 0 8px; font-size: 13px; background: var(--soft);
  color: var(--muted);
}
svg { display: block; width: 100%; height: auto; font-family: inherit; margin-bottom: 12px; min-width: 640px; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
svg.spark { display: inline-block; width: 80px; min-width: 0; height: 18px; margin: 0; fill: var(--onnxruntime); }
details { margin-top: 12px; }
summary { cursor: pointer; color: var(--muted); font-size: 14px; }
summary:hover { color: var(--ink); }
details > .scroll { max-height: 520px; overflow-y: auto; margin-top: 8px; }
details thead th { position: sticky; top: 0; background: var(--surface); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 20px; margin: 0; }
dl + .scroll { margin-top: 14px; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
ul { margin: 12px 0 0; padding-left: 20px; }
footer { color: var(--muted); font-size: 13px; margin-top: 20px; }
@media (max-width: 640px) {
  main { padding: 20px 12px 40px; }
  section { padding: 16px; }
  h1 { font-size: 23px; }
  .badge { white-space: normal; border-radius: 12px; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 8px; }
  .tile { padding: 10px 12px; }
  .tile .value { font-size: 22px; white-space: normal; }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dd { margin-bottom: 8px; }
}
button.sort {
  position: relative; font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer;
}
button.sort:hover, th[aria-sort] button.sort { color: var(--ink); }
button.sort::after { content: "↕"; position: absolute; left: 100%; opacity: 0.35; }
th:not(.left) button.sort::after { left: auto; right: 100%; }
th[aria-sort="ascending"] button.sort::after { content: "↑"; opacity: 1; }
th[aria-sort="descending"] button.sort::after { content: "↓"; opacity: 1; }
@media print {
  :root {
    color-scheme: light;
    --page: #ffffff; --surface: #ffffff; --ink: #000000; --muted: #444444; --line: #cccccc; --soft: #f2f2f2;
    --torch: #c8501f; --onnxruntime: #1f64ad; --good: #17784a; --fair: #8f6400; --bad: #b3261e;
    --good-soft: #e3f4ea; --fair-soft: #fbf1d8; --bad-soft: #fce6e4;
  }
  main { max-width: none; padding: 0; }
  section { padding: 12px 0; border-width: 0 0 1px; border-radius: 0; break-inside: avoid; }
  section:has(details), section:has(table) { break-inside: auto; }
  tr, .tile, svg { break-inside: avoid; }
  table { font-size: 11px; }
  td, th { white-space: normal; }
  .scroll, details > .scroll { overflow: visible; max-height: none; }
  svg { min-width: 0; }
  button.sort::after { content: ""; }
  body { background: none; }
}
"""
