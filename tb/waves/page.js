"use strict";
// Data: title, badge, facts, first, end, texts (a pool), groups of rows; a run of a row is
// [first cycle, cycle after the last, text or -1 where there is nothing to show, detail or -1].
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const LABELS = 300, ROW = 24, HEAD = 26, RULER = 28, CHAR = 6.7;
const cycles = data.end - data.first;
let scale = 56, cursor = null, mark = null, over = null, lines = [];
const least = () => Math.min(1, (at("scroll").clientWidth - LABELS - 4) / cycles);

at("title").textContent = data.title;
if (data.badge) { at("badge").textContent = data.badge; at("badge").className = "badge " + data.badge.toLowerCase(); }
at("facts").textContent = data.facts;

const escape = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

function runAt(row, cycle) {
  let low = 0, high = row.runs.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1, run = row.runs[middle];
    if (cycle < run[0]) high = middle - 1; else if (cycle >= run[1]) low = middle + 1; else return middle;
  }
  return -1;
}

function layout() {  // which lines there are, from open groups and the filter
  const wanted = at("filter").value.trim().toLowerCase();
  lines = [];
  let y = 0;
  data.groups.forEach((group, index) => {
    const rows = group.rows.filter((row) => !wanted || (group.name + " " + row.label + " " + row.signal).toLowerCase().includes(wanted));
    if (!rows.length) return;
    const open = wanted ? true : group.open;
    lines.push({ group, index, open, y, height: HEAD, count: rows.length });
    y += HEAD;
    if (open) for (const row of rows) { lines.push({ row, y, height: ROW }); y += ROW; }
  });
  at("labels").innerHTML = lines.map((line, n) => line.row
    ? `<div class="label" data-line="${n}" title="${escape(line.row.signal)}"><span class="name">${escape(line.row.label)}</span><span class="value"></span></div>`
    : `<div class="group${line.open ? " open" : ""}" data-group="${line.index}">${escape(line.group.name)}<i>${line.count}</i></div>`).join("");
  at("waves").style.height = y + "px";
  draw();
}

function draw() {
  const box = at("scroll"), width = Math.max(60, box.clientWidth - LABELS);
  const full = Math.max(width, cycles * scale);
  at("waves").style.width = at("ruler").style.width = full + "px";
  const left = box.scrollLeft, from = Math.max(0, Math.floor(left / scale)), to = Math.min(cycles, Math.ceil((left + width) / scale));
  const x = (cycle) => Math.round((cycle * scale - left) * 10) / 10;
  const bottom = lines.length ? lines[lines.length - 1].y + lines[lines.length - 1].height : 0;
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000].find((size) => size * scale >= 60) || 20000;
  let grid = "", ticks = "";
  for (let cycle = Math.ceil((from + data.first) / step) * step - data.first; cycle <= to; cycle += step) {
    grid += `<path d="M${x(cycle)} 0V${bottom}" stroke="var(--grid)"/>`;
    ticks += `<path d="M${x(cycle)} 20V28" stroke="var(--soft)"/><text class="tick" x="${x(cycle) + 3}" y="18">${cycle + data.first}</text>`;
  }
  const parts = lines.map((line) => line.row ? drawRow(line.row, line.y, from, to, x)
    : `<path d="M0 ${line.y + 0.5}H${width}" stroke="var(--line)"/>`);
  const bars = [[mark, "var(--mark)"], [cursor, "var(--hover)"]].filter(([cycle]) => cycle !== null).map(([cycle, colour]) =>
    `<rect x="${x(cycle)}" y="0" width="${Math.max(1, scale)}" height="${Math.max(bottom, RULER)}" fill="${colour}" opacity="0.13"/>`).join("");
  const open = (height) => `<svg width="${width}" height="${height}" xmlns="http://www.w3.org/2000/svg">`;
  const hatch = '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="var(--waitfill)"/><path d="M0 0V6" stroke="var(--wait)" stroke-width="1.4" opacity="0.5"/></pattern></defs>';
  at("waves").innerHTML = open(bottom) + hatch + grid + bars + parts.join("") + "</svg>";
  at("ruler").innerHTML = open(RULER) + ticks + bars + "</svg>";
  values();
}

function drawRow(row, y, from, to, x) {
  const top = y + 4, bottom = y + ROW - 4, middle = y + ROW / 2;
  let first = runAt(row, from), shape = "", texts = "", wire = "", fill = "", idle = "";
  if (first < 0) first = 0;
  for (let n = first; n < row.runs.length && row.runs[n][0] < to; n++) {
    const [start, end, text] = row.runs[n], a = Math.max(x(start), -9), b = Math.min(x(end), x(to) + 9);
    if (b - a <= 0) continue;
    if (text < 0) { idle += `M${a} ${middle}H${b}`; continue; }
    const label = data.texts[text];
    if (row.kind === "bit") {
      const level = label === "1" ? top : bottom;
      wire += (wire ? `V${level}` : `M${a} ${level}`) + `H${b}`;
      if (label === "1") fill += `M${a} ${bottom}V${top}H${b}V${bottom}Z`;
      continue;
    }
    const slant = Math.min(3, (b - a) / 2);
    const path = `M${a + slant} ${top}H${b - slant}L${b} ${middle}L${b - slant} ${bottom}H${a + slant}L${a} ${middle}Z`;
    const waits = row.kind === "beats" && label === "wait";
    const colours = row.kind !== "beats" ? ["var(--busfill)", "var(--bus)"] : waits ? ["url(#hatch)", "var(--wait)"] : ["var(--beatfill)", "var(--beat)"];
    shape += `<path d="${path}" fill="${colours[0]}" stroke="${colours[1]}" stroke-width="1"/>`;
    const seen = [Math.max(a, 0), Math.min(b, x(to))], room = Math.floor((seen[1] - seen[0] - 8) / CHAR);
    const shown = label.length <= room ? label : room >= 3 ? label.slice(0, room - 1) + "…" : "";
    if (shown) texts += `<text x="${(seen[0] + seen[1]) / 2}" y="${middle + 4}" text-anchor="middle">${escape(shown)}</text>`;
  }
  if (row.kind === "bit") shape = `<path d="${fill}" fill="var(--fill)"/><path d="${wire}" fill="none" stroke="var(--wire)" stroke-width="1.4"/>`;
  return `<path d="${idle}" stroke="var(--line)" fill="none"/>` + shape + texts;
}

function values() {  // the value of every line at the cursor, or at the mark
  const cycle = cursor ?? mark;
  for (const element of at("labels").querySelectorAll(".label")) {
    const row = lines[element.dataset.line].row, n = cycle === null ? -1 : runAt(row, cycle);
    element.querySelector(".value").textContent = n < 0 || row.runs[n][2] < 0 ? "" : data.texts[row.runs[n][2]];
    element.classList.toggle("over", row === over);
  }
  const parts = [];
  if (cursor !== null) parts.push(`cycle <b>${cursor + data.first}</b>`);
  if (mark !== null) parts.push(`mark <b>${mark + data.first}</b>`);
  if (cursor !== null && mark !== null) parts.push(`distance <b>${Math.abs(cursor - mark)}</b>`);
  at("where").innerHTML = parts.join(", ") || "point at a wave for its value; click to set a mark; ctrl + wheel zooms";
}

function zoom(factor, centre) {
  const box = at("scroll"), middle = centre ?? (box.clientWidth - LABELS) / 2;
  const cycle = (box.scrollLeft + middle) / scale;
  scale = Math.min(120, Math.max(least(), scale * factor));
  draw();
  box.scrollLeft = cycle * scale - middle;
  draw();
}

function fit() { scale = Math.min(60, Math.max(least(), (at("scroll").clientWidth - LABELS - 4) / cycles)); at("scroll").scrollLeft = 0; draw(); }

function place(event) {  // the cycle and line under the pointer
  const box = at("waves").getBoundingClientRect();
  const cycle = Math.floor((event.clientX - box.left) / scale), y = event.clientY - box.top;
  const line = lines.find((item) => y >= item.y && y < item.y + item.height);
  return [cycle >= 0 && cycle < cycles ? cycle : null, line && line.row ? line.row : null];
}

function tip(event, row, cycle) {
  const element = at("tip"), n = row && cycle !== null ? runAt(row, cycle) : -1;
  if (n < 0) { element.style.display = "none"; return; }
  const [start, end, text, detail] = row.runs[n];
  const span = end - start === 1 ? `cycle ${start + data.first}` : `cycles ${start + data.first} to ${end - 1 + data.first}`;
  const shown = text < 0 ? "nothing here" : data.texts[text];
  element.innerHTML = `<b>${escape(row.label)}</b> = ${escape(shown)} <span>· ${span} · ${escape(row.signal)}</span>`
    + (detail < 0 || text < 0 ? "" : `<pre>${escape(data.texts[detail])}</pre>`);
  element.style.display = "block";
  const size = element.getBoundingClientRect();
  element.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - size.width - 8)) + "px";
  element.style.top = (event.clientY + 18 + size.height > innerHeight ? event.clientY - size.height - 10 : event.clientY + 18) + "px";
}

at("waves").addEventListener("mousemove", (event) => { [cursor, over] = place(event); tip(event, over, cursor); draw(); });
at("waves").addEventListener("mouseleave", () => { cursor = over = null; at("tip").style.display = "none"; draw(); });
at("waves").addEventListener("click", (event) => { const [cycle] = place(event); mark = cycle === mark ? null : cycle; draw(); });
at("scroll").addEventListener("scroll", draw);
at("scroll").addEventListener("wheel", (event) => {
  if (!event.ctrlKey) return;
  event.preventDefault();
  zoom(event.deltaY < 0 ? 1.25 : 0.8, event.clientX - at("scroll").getBoundingClientRect().left - LABELS);
}, { passive: false });
at("labels").addEventListener("click", (event) => {
  const element = event.target.closest(".group");
  if (element) { const group = data.groups[element.dataset.group]; group.open = !group.open; layout(); }
});
at("in").onclick = () => zoom(1.5);
at("out").onclick = () => zoom(1 / 1.5);
at("fit").onclick = fit;
for (const [id, open] of [["all", true], ["none", false]]) at(id).onclick = () => { for (const group of data.groups) group.open = open; layout(); };
at("filter").addEventListener("input", layout);
addEventListener("resize", draw);
addEventListener("keydown", (event) => {
  if (event.target.tagName === "INPUT") return;
  if (event.key === "+" || event.key === "=") zoom(1.5);
  if (event.key === "-") zoom(1 / 1.5);
  if (event.key === "f") fit();
});
layout();
