"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const items = data.items;
const canvas = document.getElementById("canvas"), view = document.getElementById("view");
const panel = document.getElementById("panel"), hint = document.getElementById("hint");
const search = document.getElementById("search"), color = document.getElementById("color");
const GAPS = [26, 18, 12], MARGIN = 14, HEADER = 30, RANK_GAP = 30, SLOPE = 0.06, MOST_GAP = 64;
let opened = new Set(data.open), current = null, found = new Set();
let camera = { x: 0, y: 0, k: 1 }, moved = false;

items.forEach((item, i) => { item.children = []; item.reads = []; item.readers = []; if (item.parent != null) items[item.parent].children.push(i); });
for (const [a, b] of data.flows) { items[a].readers.push(b); items[b].reads.push(a); }
const isOpen = (i) => opened.has(i) && items[i].children.length > 0;
const escapeText = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

// The layout of each box is known for closed children. Where some are open, everything moves apart just enough: things
// that stood above each other still do, so that straight lines stay straight and nothing changes its order.
function spread(inside, widths, things) {
  const places = [...new Set(inside.x)].sort((a, b) => a - b), at = new Map(places.map((x, k) => [x, k]));
  const apart = places.map(() => []);
  for (const row of inside.order) for (let i = 1; i < row.length; i++) {
    const [a, b] = [row[i - 1], row[i]], gap = GAPS[(a >= things) + (b >= things)];
    const j = at.get(inside.x[a]), k = at.get(inside.x[b]);
    if (j < k) apart[k].push([j, (widths[a] + widths[b]) / 2 + gap]);
  }
  const left = places.slice();
  for (let k = 1; k < places.length; k++) {
    left[k] = left[k - 1] + places[k] - places[k - 1];
    for (const [j, least] of apart[k]) left[k] = Math.max(left[k], left[j] + least);
  }
  const right = left.map((x, k) => k === left.length - 1 ? x : Infinity);
  for (let k = places.length - 1; k > 0; k--) {
    right[k - 1] = Math.min(right[k - 1], right[k] - places[k] + places[k - 1]);
    for (const [j, least] of apart[k]) right[j] = Math.min(right[j], right[k] - least);
  }
  const x = inside.x.map((old) => (left[at.get(old)] + right[at.get(old)]) / 2);
  const low = Math.min(...x.map((v, i) => v - widths[i] / 2));
  return x.map((v) => v - low);
}

// Open boxes have their lines at other places than closed ones: layer by layer, down and up, each thing goes to the
// median of what it is tied to, neighbors that would touch go together (pool adjacent violators); the best is kept.
function straighten(inside, x, widths, things, ties) {
  const above = x.map(() => []), below = x.map(() => []);
  for (const [a, b, start, end, weight] of ties) { above[b].push([a, start - end, weight]); below[a].push([b, end - start, weight]); }
  const cost = (x) => ties.reduce((sum, [a, b, start, end, weight]) => sum + weight * Math.abs(x[a] + start - x[b] - end), 0);
  let best = x.slice(), least = cost(x), now = x.slice();
  for (let sweep = 0; sweep < 8 && least > 1; sweep++) {
    const rows = sweep % 2 ? inside.order.slice().reverse() : inside.order;
    for (const row of rows) {
      const pools = [];
      let shift = 0;
      row.forEach((v, p) => {
        if (p) shift += (widths[row[p - 1]] + widths[v]) / 2 + GAPS[(row[p - 1] >= things) + (v >= things)];
        const ends = (sweep % 2 ? below : above)[v].map(([u, off, weight]) => [now[u] + off, weight]).sort((s, t) => s[0] - t[0]);
        let total = ends.reduce((sum, end) => sum + end[1], 0), half = total / 2, want = now[v];
        for (const [at, weight] of ends) { half -= weight; if (half <= 0) { want = at; break; } }
        total = total || 0.1;
        let pool = { weight: total, at: want - shift, members: [[v, shift]] };
        while (pools.length && pools[pools.length - 1].at > pool.at) {
          const last = pools.pop(), both = last.weight + pool.weight;
          pool = { weight: both, at: (last.at * last.weight + pool.at * pool.weight) / both, members: last.members.concat(pool.members) };
        }
        pools.push(pool);
      });
      for (const pool of pools) for (const [v, shift] of pool.members) now[v] = pool.at + shift;
    }
    const found = cost(now);
    if (found < least - 0.5) { least = found; best = now.slice(); }
  }
  const low = Math.min(...best.map((v, p) => v - widths[p] / 2));
  return best.map((v) => v - low);
}

// How much each step of a line wants to be vertical, with where it leaves and arrives.
function tiesOf(inside, things) {
  const ties = new Map();
  inside.chains.forEach((chain, link) => {
    const source = inside.ends[chain[0]], target = inside.ends[chain[chain.length - 1]];
    for (const value of inside.values[link]) for (let p = 1; p < chain.length; p++) {
      const [a, b] = [chain[p - 1], chain[p]];
      const start = p === 1 && source[0] === "item" ? port(source[1], "out", value) : 0;
      const end = p === chain.length - 1 && target[0] === "item" ? port(target[1], "in", value) : 0;
      const weight = (inside.light[link] ? 0.2 : 2) * [2, 1, 8][(a >= things) + (b >= things)];
      ties.set([a, b, start, end].join(" "), [a, b, start, end, weight]);
    }
  });
  return [...ties.values()];
}

function measure(i) {
  const item = items[i];
  item.open = isOpen(i);
  if (!item.open) { [item.w, item.h] = item.size; return; }
  const inside = item.inside, things = inside.ends.length;
  item.children.forEach(measure);
  const widths = inside.x.map((_, v) => v >= things ? 0 : inside.ends[v][0] === "item" ? items[inside.ends[v][1]].w : 8);
  const heights = inside.x.map((_, v) => v < things && inside.ends[v][0] === "item" ? items[inside.ends[v][1]].h : 0);
  let x = spread(inside, widths, things);
  if (item.children.some(isOpen)) x = straighten(inside, x, widths, things, tiesOf(inside, things));
  const steps = inside.order.map(() => 0), fed = new Set();
  for (const chain of inside.chains) for (let p = 1; p < chain.length; p++) {
    fed.add(chain[p]);
    const rank = inside.rank[chain[p - 1]];
    steps[rank] = Math.max(steps[rank], Math.abs(x[chain[p]] - x[chain[p - 1]]));
  }
  const tops = [], bottoms = [];
  let y = 0;
  inside.order.forEach((row, rank) => {
    const height = Math.max(0, ...row.map((v) => heights[v]));
    tops.push(y); bottoms.push(y + height);
    y += height + Math.min((height ? RANK_GAP : RANK_GAP / 4) + SLOPE * steps[rank], MOST_GAP);
  });
  const last = tops.length - 1;
  if (last > 0 && tops[last] === bottoms[last]) tops[last] = bottoms[last] = tops[last] - Math.min(0.75 * RANK_GAP, tops[last] - bottoms[last - 1]);
  const at = heights.map((height, v) => {
    const rank = inside.rank[v], free = bottoms[rank] - tops[rank] - height;
    return tops[rank] + (!fed.has(v) ? 1 : free < 60 ? 0.5 : 0) * free;
  });
  const width = Math.max(...x.map((v, p) => v + widths[p] / 2));
  const head = item.parent == null ? 0 : HEADER;
  item.w = Math.max(width + 2 * MARGIN, item.parent == null ? 0 : headerWidth(item));
  item.h = bottoms[last] + head + 2 * MARGIN;
  item.placed = { x, heights, tops, bottoms, at, width, head };
}

const headerWidth = (item) => 60 + 7.4 * short(item.title).length;
const short = (text) => text.length > 46 ? text.slice(0, 30) + "…" + text.slice(-15) : text;

function port(i, kind, value) {
  const item = items[i];
  if (!item.open) return 0;
  const p = item.inside.ends.findIndex((end) => end[0] === kind && end[1] === value);
  return p < 0 ? 0 : item.placed.x[p] + (item.w - item.placed.width) / 2 - item.w / 2;
}

function put(i, x, y, depth, out) {
  const item = items[i];
  item.left = x; item.top = y;
  if (!item.open) { out.cards.push(i); return; }
  if (item.parent != null) out.frames.push([i, depth]);
  const { inside, placed } = item, left = x + (item.w - placed.width) / 2, top = y + placed.head + MARGIN;
  inside.ends.forEach(([kind, child], v) => {
    if (kind === "item") put(child, left + placed.x[v] - items[child].w / 2, top + placed.at[v], depth + 1, out);
  });
  inside.chains.forEach((chain, link) => {
    const ends = inside.ends, source = ends[chain[0]], target = ends[chain[chain.length - 1]];
    // Values that go the same way are one line while the boxes at its ends are closed.
    const ways = new Map();
    for (const value of inside.values[link]) {
      const start = source[0] === "item" ? port(source[1], "out", value) : 0, end = target[0] === "item" ? port(target[1], "in", value) : 0;
      ways.set(start + " " + end, [start, end, value]);
    }
    for (const [start, end] of ways.values()) {
      const stops = chain.map((v, p) => {
        const rank = inside.rank[v], shift = p === 0 ? start : p === chain.length - 1 ? end : 0;
        return [left + placed.x[v] + shift, top + placed.tops[rank], top + placed.bottoms[rank]];
      });
      const first = stops[0], last = stops[stops.length - 1], w = chain[chain.length - 1];
      first[1] = source[0] === "in" ? y : top + placed.at[chain[0]] + placed.heights[chain[0]];
      last[2] = target[0] === "out" ? y + item.h : top + placed.at[w];
      let tip = null;
      if (target[0] === "item" && !items[target[1]].open) {
        if (["loss", "output"].includes(items[target[1]].kind)) last[2] -= 4;
        tip = [last[0], last[2]];
        last[2] -= 5; last[1] = Math.min(last[1], last[2]);
      }
      const name = (e) => e[0] === "item" ? e[1] : -1;
      out.lines.push({ d: path(stops), tip, light: inside.light[link], a: name(source), b: name(target) });
    }
  });
}

function path(stops) {
  let [x, start, y] = stops[0], d = `M${x.toFixed(1)},${start.toFixed(1)}V${y.toFixed(1)}`;
  for (const [nx, high, low] of stops.slice(1)) {
    if (Math.abs(nx - x) >= 0.3) {
      const m = ((y + high) / 2).toFixed(1);
      d += `C${x.toFixed(1)},${m} ${nx.toFixed(1)},${m} ${nx.toFixed(1)},${high.toFixed(1)}`;
    }
    d += `V${low.toFixed(1)}`;
    x = nx; y = low;
  }
  return d;
}

function viridis(share) {
  const at = Math.min(Math.max(share, 0), 1) * (data.viridis.length - 1), low = Math.min(Math.floor(at), data.viridis.length - 2);
  const parts = [0, 1].map((k) => [1, 3, 5].map((i) => parseInt(data.viridis[low + k].slice(i, i + 2), 16)));
  const mix = parts[0].map((v, i) => Math.round(v + (parts[1][i] - v) * (at - low)));
  return [`rgb(${mix.join()})`, 0.299 * mix[0] + 0.587 * mix[1] + 0.114 * mix[2] > 125 ? "#0c121b" : "#ffffff"];
}

function render() {
  measure(0);
  const out = { cards: [], frames: [], lines: [] };
  put(0, 0, 0, -1, out);
  const parts = [], deep = (depth) => depth % 2 === 0 ? " deep" : "";
  for (const [i, depth] of out.frames) {
    const item = items[i];
    parts.push(`<rect class="frame${deep(depth)} ${item.kind}" data-frame="${i}" x="${item.left.toFixed(1)}" y="${item.top.toFixed(1)}" width="${item.w.toFixed(1)}" height="${item.h.toFixed(1)}" rx="9"/>`);
  }
  out.lines.sort((a, b) => b.light - a.light);
  let tips = "";
  for (const line of out.lines) {
    parts.push(`<path class="${line.light ? "light" : "flow"}" data-a="${line.a}" data-b="${line.b}" d="${line.d}"/>`);
    if (line.tip) tips += `M${line.tip[0].toFixed(1)},${line.tip[1].toFixed(1)}l-3.6-7q3.6,1.6 7.2,0z`;
  }
  parts.push(`<path class="tip" d="${tips}"/>`);
  const order = [...out.frames.map(([i, depth]) => [i, depth]), ...out.cards.map((i) => [i, null])].sort((a, b) => a[0] - b[0]);
  for (const [i, depth] of order) parts.push(depth == null ? cardMarkup(i) : headerMarkup(i, deep(depth)));
  view.innerHTML = parts.join("");
  paint(out.cards);
  mark();
  remember();
  hint.textContent = `${out.cards.length} of ${items.length - 1} nodes and boxes seen`;
}

function cardMarkup(i) {
  const item = items[i], box = item.children.length > 0;
  const said = [item.title, item.shape, item.value && "value " + item.value.text, item.delta && "gradient " + item.delta.text, item.note].filter(Boolean).join(", ");
  return `<g class="item ${item.kind}${box ? " box" : ""}${item.left_out ? " dim" : ""}" data-i="${i}" tabindex="0" role="${box ? "button" : "img"}"${box ? ' aria-expanded="false"' : ""} aria-label="${escapeText(said)}" transform="translate(${item.left.toFixed(1)},${item.top.toFixed(1)})">${item.card}</g>`;
}

function headerMarkup(i, deep) {
  const item = items[i], title = short(item.title), wide = headerWidth(item) - 24;
  const x = item.left.toFixed(1), y = item.top.toFixed(1);
  const does = item.w > wide + 40 + 6.2 * (item.does || "").length ? item.does : "";
  return `<g class="header" data-i="${i}" tabindex="0" role="button" aria-expanded="true" aria-label="${escapeText(item.title)}, open" transform="translate(${x},${y})"><rect class="halo${deep}" x="6" y="6" width="${(Math.min(wide + (does ? 6.4 * does.length : 0), item.w - 12)).toFixed(1)}" height="20" rx="4"/><path class="loop" d="M14,16h9"/><text class="${item.kind === "line" ? "code" : "head"}" x="30" y="20">${escapeText(title)}<tspan class="soft" style="font-weight:400;font-size:12px" dx="10">${escapeText(does || "")}</tspan></text></g>`;
}

function paint(cards) {
  const by = color.value, amount = (i) => ["loss", "output"].includes(items[i].kind) ? 0 : items[i][by] || 0;
  document.querySelectorAll(".key .colors").forEach((old) => old.remove());
  if (!by) return;
  const amounts = cards.map(amount).filter((n) => n > 0), low = Math.min(...amounts), high = Math.max(...amounts);
  if (!amounts.length) return;
  for (const i of cards) {
    const n = amount(i);
    if (n <= 0) continue;
    const [fill, ink] = viridis(high > low ? Math.log(n / low) / Math.log(high / low) : 0), card = group(i);
    card.querySelector(":scope > .s").style.fill = fill;
    card.querySelectorAll("text").forEach((text) => { text.style.fill = ink; });
  }
  const steps = data.viridis.map((c, k) => `<rect x="${12 * k}" width="12.5" height="12" fill="${c}"/>`).join("");
  const say = (n) => by === "bytes" ? units(n, 1000, ["B", "kB", "MB", "GB", "TB"]) : units(n, 1000, ["", "k", "M", "G", "T"]);
  document.getElementById("key").insertAdjacentHTML("beforeend", `<span class="colors"><svg class="scale" viewBox="0 0 132 12" aria-hidden="true">${steps}</svg>${say(low)} to ${say(high)} ${data.colors[by]}, logarithmic</span>`);
}

function units(n, step, names) {
  let k = 0;
  while (n >= step - 0.5 && k < names.length - 1) { n /= step; k++; }
  return `${k ? n.toPrecision(3) : n}\u202f${names[k]}`;
}

const group = (i) => view.querySelector(`g[data-i="${i}"]`);
// The item itself, or the closed box around it that is seen.
function seen(i) {
  let shown = i;
  for (let at = items[i].parent; at != null; at = items[at].parent) if (!isOpen(at)) shown = at;
  return shown;
}

function mark() {
  view.querySelectorAll(".found").forEach((g) => g.classList.remove("found"));
  for (const i of found) group(seen(i))?.classList.add("found");
  if (current != null) light(current);
}

function light(i) {
  view.querySelectorAll(".lit,.at").forEach((part) => part.classList.remove("lit", "at"));
  group(i)?.classList.add("at");
  view.querySelectorAll(`path[data-a="${i}"],path[data-b="${i}"]`).forEach((line) => line.classList.add("lit"));
}

function describe(i) {
  current = i;
  light(i);
  const item = items[i], parts = [`<h2>${escapeText(item.title)}</h2>`];
  const kind = { operation: "operation", slice: "one step's part", carry: "from step to step", fixed: "the same at every call" }[item.kind] || item.kind;
  parts.push(`<p>${[kind, item.shape, item.module && "in " + item.module].filter(Boolean).map(escapeText).join(" · ")}</p>`);
  if (item.note) parts.push(`<p class="bad">${escapeText(item.note)}</p>`);
  if (item.value) parts.push(numbers(item.kind === "loss" ? "Loss" : "Value y", item.value, "value"));
  if (item.delta) parts.push(numbers("Gradient δ = ∂L/∂y", item.delta, "delta"));
  if (item.rule) parts.push(`<h3>Textbook rule: ${escapeText(item.rule[0])}</h3><p>forward ${escapeText(item.rule[1])}</p><p>backward ${escapeText(item.rule[2])}</p>`);
  if (item.code || item.line) parts.push(`<h3>${escapeText(item.line || "")}</h3>${item.code ? `<pre>${escapeText(item.code)}</pre>` : ""}`);
  const cost = [item.does || item.operations && `${item.operations.toLocaleString("en").replace(/,/g, "\u202f")} arithmetic operations`, item.bytesText && item.bytesText + (item.operations || item.does ? " computed" : ""), item.kept && "kept for the backward pass"];
  parts.push(`<h3>Cost</h3><p>${cost.filter(Boolean).join(" · ")}</p>`);
  if (item.settings) parts.push(`<h3>Settings</h3><p>${escapeText(item.settings)}</p>`);
  parts.push(links("Reads", item.reads), links("Read by", item.readers));
  panel.innerHTML = parts.join("");
}

function numbers(title, part, kind) {
  let text = `<h3>${title}</h3><div class="${kind}"><div class="text">${escapeText(part.text)}</div>`;
  if (part.entries && part.entries.length > 1) {
    const width = part.shape.length ? part.shape[part.shape.length - 1] : 1, rows = [];
    for (let k = 0; k < part.entries.length; k += width) rows.push(part.entries.slice(k, k + width).map((e) => e.padStart(9)).join(""));
    text += `<pre>${escapeText(rows.join("\n"))}</pre>`;
  }
  if (part.histogram) {
    const most = Math.max(...part.histogram), step = 240 / part.histogram.length;
    const bars = part.histogram.map((n, k) => `<rect x="${(k * step).toFixed(1)}" y="${(50 - 50 * n / most).toFixed(1)}" width="${(step - 1).toFixed(1)}" height="${(50 * n / most).toFixed(1)}"/>`).join("");
    text += `<svg class="hist" viewBox="0 0 240 50" preserveAspectRatio="none" role="img" aria-label="Histogram from ${part.numbers.smallest} to ${part.numbers.largest}">${bars}</svg><div class="ends"><span>${part.numbers.smallest}</span><span>${part.numbers.largest}</span></div>`;
  }
  if (!part.entries || part.entries.length > 3) {
    text += `<dl>${Object.entries(part.numbers).map(([name, n]) => `<dt>${name}</dt><dd${name === "NaN" && n !== "0" ? ' class="bad"' : ""}>${n}</dd>`).join("")}</dl>`;
  }
  return text + "</div>";
}

function links(title, ends) {
  if (!ends.length) return "";
  const shown = [...new Set(ends)].slice(0, 12).map((i) => `<button class="link" data-go="${i}">${escapeText(items[i].title)}</button>`);
  return `<h3>${title}</h3><p>${shown.join(", ")}${ends.length > 12 ? `, and ${ends.length - 12} more` : ""}</p>`;
}

function welcome() {
  current = null;
  view.querySelectorAll(".lit,.at").forEach((part) => part.classList.remove("lit", "at"));
  panel.innerHTML = "<p>Point at a node, or press Tab, to see its values, its gradient and its line of code. Click a box to open or close it.</p>";
}

const apply = () => view.setAttribute("transform", `translate(${camera.x.toFixed(2)},${camera.y.toFixed(2)}) scale(${camera.k.toFixed(4)})`);

function fit() {
  const root = items[0], box = canvas.getBoundingClientRect(), pad = 24;
  const whole = Math.min((box.width - 2 * pad) / root.w, (box.height - 2 * pad) / root.h, 1.4);
  // A tall graph starts at its top, large enough to read; the wheel shows the rest.
  const k = Math.max(whole, Math.min(0.55, (box.width - 2 * pad) / root.w));
  camera = { k, x: (box.width - root.w * k) / 2, y: root.h * k > box.height ? pad : (box.height - root.h * k) / 2 };
  apply();
}

function zoom(factor, x, y) {
  const box = canvas.getBoundingClientRect();
  x = x ?? box.width / 2; y = y ?? box.height / 2;
  const k = Math.min(Math.max(camera.k * factor, 0.02), 6);
  camera.x = x - (x - camera.x) * k / camera.k;
  camera.y = y - (y - camera.y) * k / camera.k;
  camera.k = k; moved = true;
  apply();
}

function toggle(i) {
  if (!items[i].children.length) return;
  const before = [items[i].left, items[i].top];
  if (isOpen(i)) { opened.delete(i); items[i].children.forEach(function close(c) { opened.delete(c); items[c].children.forEach(close); }); } else opened.add(i);
  render();
  // The box stays where it was on the screen.
  camera.x += (before[0] - items[i].left) * camera.k;
  camera.y += (before[1] - items[i].top) * camera.k;
  apply();
  group(i)?.focus({ preventScroll: true });
  describe(i);
}

function level(more) {
  const boxes = items.map((item, i) => i).filter((i) => i && items[i].children.length);
  const depth = (i) => { let d = 0; for (let at = items[i].parent; at; at = items[at].parent) d++; return d; };
  if (more) {
    const closed = boxes.filter((i) => !isOpen(i) && seen(i) === i);
    const least = Math.min(...closed.map(depth));
    closed.filter((i) => depth(i) === least).forEach((i) => opened.add(i));
  } else {
    const open = boxes.filter((i) => isOpen(i) && seen(i) === i), most = Math.max(...open.map(depth));
    open.filter((i) => depth(i) === most).forEach((i) => opened.delete(i));
  }
  render(); fit();
}

function go(i) {
  for (let at = items[i].parent; at != null; at = items[at].parent) opened.add(at);
  render();
  const box = canvas.getBoundingClientRect(), item = items[i];
  camera.k = Math.max(camera.k, 0.7);
  camera.x = box.width / 2 - (item.left + item.w / 2) * camera.k;
  camera.y = box.height / 3 - item.top * camera.k;
  moved = true;
  apply();
  group(i)?.focus({ preventScroll: true });
  describe(i);
}

function follow(i, down) {
  const ends = items[i].children.length ? data.flows.filter(([a, b]) => seen(down ? a : b) === i && seen(down ? b : a) !== i).map(([a, b]) => down ? b : a) : down ? items[i].readers : items[i].reads;
  if (ends.length) go(seen(ends[0]));
}

function look() {
  const words = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  found = new Set();
  if (words.length) items.forEach((item, i) => {
    const text = [item.title, item.kind, item.shape, item.code, item.line, item.module, item.rule && item.rule[0]].join(" ").toLowerCase();
    if (i && words.every((word) => text.includes(word))) found.add(i);
  });
  // The nearer a name is to the words, the sooner it comes.
  const all = words.join(" "), title = (i) => items[i].title.toLowerCase();
  const far = (i) => title(i) === all ? 0 : title(i).startsWith(all) ? 1 : title(i).includes(all) ? 2 : 3;
  found = new Set([...found].sort((a, b) => far(a) - far(b) || a - b));
  mark();
  hint.textContent = words.length ? `${found.size} found${found.size ? "; Enter goes to the next" : ""}` : "";
}

let next = -1;
search.addEventListener("input", () => { next = -1; look(); });
search.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && found.size) { next = (next + 1) % found.size; go([...found][next]); search.focus(); }
  if (event.key === "Escape") { search.value = ""; look(); }
});
color.addEventListener("change", render);
for (const [id, act] of [["less", () => level(false)], ["more", () => level(true)], ["out", () => zoom(1 / 1.3)], ["in", () => zoom(1.3)], ["fit", () => { moved = false; fit(); }]]) {
  document.getElementById(id).addEventListener("click", act);
}
panel.addEventListener("click", (event) => { const to = event.target.dataset.go; if (to != null) go(+to); });

const itemOf = (target) => { const g = target.closest?.("g[data-i]"); return g ? +g.dataset.i : null; };
canvas.addEventListener("pointerover", (event) => { const i = itemOf(event.target); if (i != null && !fingers.size) describe(i); });
canvas.addEventListener("focusin", (event) => { const i = itemOf(event.target); if (i != null && i !== current) { describe(i); reveal(i); } });
canvas.addEventListener("keydown", (event) => {
  const i = itemOf(event.target), key = event.key;
  if (i != null && (key === "Enter" || key === " ")) toggle(i);
  else if (i != null && (key === "ArrowDown" || key === "ArrowUp")) follow(i, key === "ArrowDown");
  else if (key.startsWith("Arrow")) {
    camera.x += { ArrowLeft: 60, ArrowRight: -60 }[key] || 0;
    camera.y += { ArrowUp: 60, ArrowDown: -60 }[key] || 0;
    apply();
  } else return;
  event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input,select") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "+" || event.key === "=") zoom(1.3);
  else if (event.key === "-") zoom(1 / 1.3);
  else if (event.key === "0") fit();
  else if (event.key === "/") { search.focus(); event.preventDefault(); }
});

// A node that got the focus outside of the window comes into it.
function reveal(i) {
  const box = canvas.getBoundingClientRect(), item = items[i];
  const x = camera.x + item.left * camera.k, y = camera.y + item.top * camera.k;
  if (x < 0 || y < 0 || x > box.width - 40 || y > box.height - 30) {
    camera.x += box.width / 2 - x; camera.y += box.height / 3 - y;
    apply();
  }
}

canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = canvas.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });

// One finger or the mouse moves, two fingers zoom; what does not move is a click.
const fingers = new Map();
let pressed = null, way = 0;
canvas.addEventListener("pointerdown", (event) => {
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  if (fingers.size === 1) { pressed = itemOf(event.target); way = 0; }
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const now = [event.clientX, event.clientY], others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
  if (others.length) {
    const [other] = others, box = canvas.getBoundingClientRect(), far = (a) => Math.hypot(a[0] - other[0], a[1] - other[1]) + 1;
    zoom(far(now) / far(before), (now[0] + other[0]) / 2 - box.left, (now[1] + other[1]) / 2 - box.top);
  }
  camera.x += (now[0] - before[0]) / fingers.size; camera.y += (now[1] - before[1]) / fingers.size;
  way += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
  if (way > 4) { moved = true; canvas.classList.add("moving"); }
  fingers.set(event.pointerId, now);
  apply();
});
for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => {
  fingers.delete(event.pointerId);
  canvas.classList.remove("moving");
  if (name === "pointerup" && way <= 4 && !fingers.size) {
    if (pressed == null) welcome();
    else if (items[pressed].children.length) toggle(pressed);
    else describe(pressed);
  }
});

function remember() {
  const state = new URLSearchParams({ open: [...opened].filter((i) => i).sort((a, b) => a - b).join(".") });
  if (color.value) state.set("color", color.value);
  try { history.replaceState(null, "", "#" + state); } catch { /* a page that may not have an address */ }
}

const asked = new URLSearchParams(location.hash.slice(1));
if (asked.has("open")) opened = new Set([0, ...asked.get("open").split(".").map(Number).filter((i) => items[i])]);
color.value = asked.get("color") ?? data.color;
render();
fit();
welcome();
window.addEventListener("resize", () => { if (!moved) fit(); });
// On paper the whole graph, as large as the page allows.
window.addEventListener("beforeprint", () => {
  canvas.setAttribute("viewBox", `-12 -12 ${items[0].w + 24} ${items[0].h + 24}`);
  view.removeAttribute("transform");
});
window.addEventListener("afterprint", () => { canvas.removeAttribute("viewBox"); apply(); });
