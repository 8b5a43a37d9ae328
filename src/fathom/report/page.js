// What the page can do beyond reading: live charts in place of the still ones, tables that sort, and what is told
// of a mark or a row. Without this script, and in print, the page is whole: every chart is a still picture.
(() => {
  "use strict";
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  // What is packed into the page.
  async function unpack(id) {
    const text = document.getElementById(id).textContent;
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }
  const once = (work) => {
    let promise;
    return () => (promise ??= work());
  };
  const content = once(async () => JSON.parse(await unpack("content")));
  const runtime = once(async () => {
    document.head.append(make("script", {}, await unpack("vega")));
    return window.vegaEmbed;
  });

  // What is told of a mark or a row.
  const tip = make("div", { id: "tip", role: "status", "aria-live": "polite" });
  document.body.append(tip);
  let from = 0; // how far the page was scrolled when the last was told
  function tell(pairs, x, y) {
    from = scrollY;
    const list = make("dl");
    for (const [name, value] of pairs) list.append(make("div", {}, make("dt", {}, name), make("dd", {}, String(value))));
    tip.replaceChildren(list);
    tip.classList.add("shown");
    const { offsetWidth: w, offsetHeight: h } = tip;
    const { clientWidth: W, clientHeight: H } = document.documentElement;
    tip.style.left = `${Math.max(8, Math.min(x + 14 + w > W ? x - w - 14 : x + 14, W - w - 8))}px`;
    tip.style.top = `${Math.max(8, y + 18 + h > H ? y - h - 12 : y + 18)}px`;
  }
  const hush = () => tip.classList.remove("shown");
  addEventListener("keydown", (event) => event.key === "Escape" && hush());
  addEventListener("scroll", () => scrollY !== from && hush(), { passive: true });

  // Charts.
  const views = new Map();
  function live(box) {
    if (!views.has(box)) views.set(box, start(box).catch(() => null)); // the still picture stays
    return views.get(box);
  }
  async function start(box) {
    const [embed, { charts }] = await Promise.all([runtime(), content()]);
    const spec = charts[box.dataset.chart];
    spec.width = box.clientWidth;
    const place = make("div", { class: "live" });
    const tooltip = (_, event, item, value) => {
      if (value && typeof value === "object" && event.clientX !== undefined) tell(Object.entries(value), event.clientX, event.clientY);
      else hush();
    };
    const { view } = await embed(place, spec, { mode: "vega", renderer: "svg", actions: false, defaultStyle: false, logLevel: 1, tooltip });
    box.append(place);
    box.classList.add("alive");
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    box.setAttribute("aria-roledescription", "chart");
    box.setAttribute("aria-describedby", box.dataset.zoom === undefined ? "walk" : "walk-and-zoom");
    let width = spec.width;
    new ResizeObserver(() => {
      if (!box.clientWidth || box.clientWidth === width) return;
      width = box.clientWidth;
      view.width(width).runAsync();
    }).observe(box);
    walk(box, place, view, zooms(spec));
    brush(view, spec);
    return view;
  }

  // Every mark that tells something, once, from left to right.
  function marks(view) {
    const found = new Map();
    (function visit(mark, x, y) {
      for (const item of mark.items || []) {
        if (mark.marktype === "group") for (const inner of item.items) visit(inner, x + (item.x || 0), y + (item.y || 0));
        else if (item.tooltip && typeof item.tooltip === "object") {
          const { x1, x2, y1, y2 } = item.bounds;
          const value = { x: x + (item.x ?? (x1 + x2) / 2), y: y + (item.y ?? (y1 + y2) / 2), told: item.tooltip };
          if (mark.marktype === "rect") Object.assign(value, { x: x + (x1 + x2) / 2, y: y + (y1 + y2) / 2 });
          const key = JSON.stringify(item.tooltip);
          if (!found.has(key)) found.set(key, value);
        }
      }
    })(view.scenegraph().root, ...view.origin());
    return [...found.values()].sort((a, b) => a.x - b.x || a.y - b.y);
  }
  const STEPS = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 };
  const ZOOMS = { "+": 0.7, "=": 0.7, "-": 1 / 0.7, 0: null };
  function walk(box, place, view, signals) {
    const here = make("i", { class: "here", "aria-hidden": "true" });
    place.append(here);
    let at = -1;
    const leave = () => (here.classList.remove("shown"), hush(), (at = -1));
    box.addEventListener("blur", leave);
    box.addEventListener("keydown", (event) => {
      if (event.key in ZOOMS && box.dataset.zoom !== undefined && !event.ctrlKey && !event.metaKey) {
        zoom(view, signals, ZOOMS[event.key]);
      } else if (event.key in STEPS) {
        const found = marks(view);
        if (!found.length) return;
        at = Math.max(0, Math.min(found.length - 1, at + STEPS[event.key]));
        const { x, y, told } = found[at];
        here.style.left = `${x}px`;
        here.style.top = `${y}px`;
        here.classList.add("shown");
        const corner = place.getBoundingClientRect();
        tell(Object.entries(told), corner.left + x, corner.top + y);
      } else if (event.key === "Escape") return leave();
      else return;
      event.preventDefault();
    });
  }
  // Both axes about their middle; null goes back to all. Vega-Lite names a signal after the field of each axis.
  function zoom(view, signals, factor) {
    for (const [channel, name] of Object.entries(signals)) {
      const scale = view.scale(channel);
      const [from, to] = scale.range();
      const middle = (from + to) / 2;
      const end = (edge) => scale.invert(middle + (edge - middle) * factor);
      view.signal(name, factor === null ? null : [end(from), end(to)]);
    }
    view.runAsync();
  }

  const zooms = (spec) => Object.fromEntries(spec.scales
    .map(({ name, domainRaw }) => [name, /^zoom\["(.+)"\]$/.exec(domainRaw?.signal || "")])
    .filter(([, found]) => found)
    .map(([name, found]) => [name, `zoom_${found[1]}`]));

  // Candidates brushed in a chart are those that the table of members shows.
  function brush(view, spec) {
    if (!(spec.signals || []).some((signal) => signal.name === "brush")) return;
    view.addSignalListener("brush", (_, chosen) => {
      const extent = chosen && chosen.x;
      if (!extent) return members && members.keep(null);
      const inside = typeof extent[0] === "number" && extent.length === 2
        ? (row) => row.x >= Math.min(...extent) && row.x <= Math.max(...extent)
        : (row) => extent.includes(row.x);
      members && members.keep(new Set(view.data("rows").filter(inside).map((row) => String(row.candidate))));
    });
  }

  // Keys: choosing what a chart shows.
  for (const button of all(".key button")) {
    button.addEventListener("click", async () => {
      const figure = button.closest("figure");
      for (const other of all(".key button", figure)) other.setAttribute("aria-pressed", String(other === button));
      const view = await live(figure.querySelector(".chart"));
      if (view) view.signal("picked", JSON.parse(button.dataset.value)).runAsync();
    });
  }

  // Tables.
  const number = (text) => {
    const bare = text.replace(/[\u202f\u00a0 ]/g, "").replace("−", "-").replace("∞", "Infinity").replace(/%$/, "");
    return bare === "" || bare === "–" ? NaN : Number(bare);
  };
  const order = new Intl.Collator(undefined, { numeric: true });
  function sortable(table) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    let rows = [...body.rows];
    let kept = null;
    let limit = Infinity;
    let more = null;
    let gather = async () => {};
    const said = make("p", { class: "said", role: "status" });
    const fill = () => {
      const found = kept ? rows.filter((row) => kept.has(row.dataset.candidate)) : rows;
      body.replaceChildren(...found.slice(0, limit));
      if (more) more.hidden = found.length <= limit;
      return found.length;
    };
    const sort = async (head, place) => {
      await gather();
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const values = new Map(rows.map((row) => [row, row.cells[place].textContent.trim()]));
      const numeric = [...values.values()].every((text) => text === "–" || !Number.isNaN(number(text)));
      const sign = down ? -1 : 1;
      const empty = (row) => values.get(row) === "–";
      rows.sort((a, b) => {
        if (empty(a) || empty(b)) return empty(a) - empty(b); // what is missing comes last either way
        const [one, two] = [values.get(a), values.get(b)];
        return sign * (numeric ? number(one) - number(two) || 0 : order.compare(one, two));
      });
      fill();
    };
    heads.forEach((head, place) => {
      const button = make("button", { type: "button" }, head.textContent);
      button.addEventListener("click", () => sort(head, place));
      head.replaceChildren(button);
    });
    return {
      // Rows beyond those of the page, made when they are first needed.
      extend(extra, shown) {
        const classes = heads.map((head) => head.className);
        limit = shown;
        gather = once(async () => {
          for (const [candidate, ...cells] of extra) {
            const row = make("tr", { "data-candidate": candidate });
            row.innerHTML = cells.map((cell, i) => `<td class="${classes[i]}">${cell}</td>`).join(""); // escaped when written
            rows.push(row);
          }
        });
        more = make("button", { type: "button", class: "more" }, "Show more members");
        more.addEventListener("click", async () => {
          await gather();
          limit += 1000;
          fill();
        });
        more.hidden = !extra.length;
        table.parentElement.after(more);
      },
      async keep(candidates) {
        await gather();
        kept = candidates;
        const count = fill();
        said.textContent = kept ? `${count} members of ${kept.size} candidates chosen in a chart; a double click there shows all.` : "";
        if (!said.isConnected) table.parentElement.before(said);
      },
      rows: () => [...body.rows],
    };
  }
  let members = null;
  for (const table of all("table[data-sortable]")) {
    const found = sortable(table);
    if (table.dataset.table === "members") members = found;
  }

  // The settings of a member beside its row: pointed at, or walked to with the arrow keys.
  if (members) content().then(({ tables }) => {
    const { rows, settings, shown } = tables.members;
    members.extend(rows, shown);
    const body = document.querySelector('table[data-table="members"] tbody');
    const show = (row, x, y) => row && tell(Object.entries(settings[row.dataset.candidate] || {}), x, y);
    body.addEventListener("pointermove", (event) => event.pointerType === "mouse" && show(event.target.closest("tr"), event.clientX, event.clientY));
    body.addEventListener("pointerleave", hush);
    body.addEventListener("click", (event) => show(event.target.closest("tr"), event.clientX, event.clientY));
    const focusable = () => members.rows().forEach((row, place) => (row.tabIndex = place ? -1 : 0));
    new MutationObserver(focusable).observe(body, { childList: true });
    focusable();
    body.addEventListener("focusin", (event) => {
      const row = event.target.closest("tr");
      const { left, bottom } = row.getBoundingClientRect();
      show(row, left + 40, bottom - 12);
    });
    body.addEventListener("focusout", hush);
    body.addEventListener("keydown", (event) => {
      const row = event.target.closest("tr");
      const next = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[event.key];
      if (!next) return;
      event.preventDefault();
      row.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
  });

  // A chart comes alive when it comes near; what is never looked at costs nothing.
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      (window.requestIdleCallback || setTimeout)(() => live(target));
    }
  }, { rootMargin: "300px" });
  all(".chart").forEach((box) => near.observe(box));
  document.documentElement.classList.add("scripted");
})();
