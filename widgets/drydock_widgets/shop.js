const NS = "http://www.w3.org/2000/svg";

/**
 * @param {string} tag
 * @param {Record<string, any>} attributes
 * @param {...any} children
 */
function svg(tag, attributes, ...children) {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

/**
 * What a part was at a moment: the last of its spans that had begun.
 * @param {any} part
 * @param {number} t seconds
 */
function partAt(part, t) {
  const found = [...part.spans].reverse().find(([at]) => at <= t + 1e-6) || part.spans[0];
  return found ? { glyph: found[1], state: found[2], said: found[3] } : { glyph: "?", state: "", said: "" };
}

/**
 * The slice in which a moment falls; the last one where none does.
 * @param {any[]} windows
 * @param {number} t
 */
function sliceAt(windows, t) {
  return windows.find(([start, long]) => start <= t && t < start + long) || windows[windows.length - 1] || null;
}

/** One slice in words. @param {any} slice */
function told(slice) {
  if (!slice) return "nobody asked yet";
  const [start, long, sent, ok, left, , p95] = slice;
  const bad = sent - ok - left;
  return `${start.toFixed(1)} to ${(start + long).toFixed(1)} s: ${ok} of ${sent} went well`
    + (bad ? `, ${bad} failed` : "") + (left ? `, ${left} gave up` : "") + (p95 === null ? "" : `, p95 ${p95} ms`);
}

const WIDE = 360, HIGH = 56, TIMES = 56, MEMORY = 40, FOOT = 16, X = (t, seconds) => (WIDE * t) / Math.max(seconds, 0.5);

/**
 * Two strips on one time axis: who was served, and how long it took.
 * @param {any} run
 * @param {any} state
 * @param {number} t
 */
function drawChart(run, state, t) {
  const most = Math.max(1, ...state.runs.flatMap((one) => one.windows.map((w) => w[2])));
  const parts = [], foot = HIGH + 20 + TIMES + (state.runs.some((one) => one.held.length) ? 20 + MEMORY : 0);
  const here = sliceAt(run.windows, t);
  const box = (x, y, w, h, kind) => { if (h > 0) parts.push(svg("rect", { x: x + 1, y, width: Math.max(1, w - 2), height: h, class: `dd-${kind}` })); };
  for (const slice of run.windows) {
    const [start, long, sent, ok, left, p50, p95] = slice;
    const x = X(start, state.seconds), w = X(long, state.seconds), one = HIGH / most;
    box(x, HIGH - ok * one, w, ok * one, "ok");
    box(x, HIGH - (ok + left) * one, w, left * one, "left");
    box(x, HIGH - sent * one, w, (sent - ok - left) * one, "bad");
    const y = (ms) => HIGH + 20 + TIMES - TIMES * Math.min(1, ms / state.longest);
    if (p95 !== null) box(x, y(p95), w, HIGH + 20 + TIMES - y(p95), "slowest");
    if (p50 !== null) parts.push(svg("line", { x1: x + 1, x2: x + w - 1, y1: y(p50), y2: y(p50), class: "dd-half" }));
    if (slice === here) parts.push(svg("rect", { x, y: 0.5, width: w, height: foot, class: "dd-here" }));
  }
  const line = run.held.map(([at, held]) => `${X(Math.min(at, state.seconds), state.seconds)},${foot - (MEMORY * held) / state.heaviest}`).join(" ");
  if (run.held.length > 1) parts.push(svg("polyline", { points: line, class: "dd-memory" }));
  if (run.held.length) parts.push(svg("text", { x: 2, y: HIGH + TIMES + 32 }, `memory, at last ${run.held[run.held.length - 1][2]}`));
  for (const [at, what] of run.events.filter(([when]) => when >= 0)) {
    const x = Math.min(WIDE - 1, X(at, state.seconds));
    parts.push(svg("line", { x1: x, x2: x, y1: 0, y2: foot, class: "dd-event" }, svg("title", {}, what)));
  }
  parts.push(svg("text", { x: 2, y: HIGH + 12 }, `p95 (bar) and p50 (line), up to ${Math.round(state.longest)} ms`),
    svg("line", { x1: 0, x2: WIDE, y1: foot, y2: foot, class: "dd-axis" }), svg("text", { x: 0, y: foot + FOOT - 2 }, "0 s"),
    svg("text", { x: WIDE, y: foot + FOOT - 2, "text-anchor": "end" }, `${state.seconds} s`));
  return svg("svg", { viewBox: `0 0 ${WIDE} ${foot + FOOT}`, class: "dd-chart", role: "img", "aria-label": `${run.design}, ${told(here)}` }, ...parts);
}

/**
 * One process: a box that can be chosen. The monolith's holds all parts.
 * @param {any} run
 * @param {any} part
 * @param {number} t
 * @param {string} chosen
 * @param {(key: string) => void} choose
 */
function drawPart(run, part, t, chosen, choose) {
  const now = partAt(part, t), key = `${run.design} ${part.name}`;
  return make("button", { type: "button", class: "dd-part", "data-key": key, "data-state": now.state, "aria-pressed": String(chosen === key),
    tabindex: chosen === key ? 0 : -1, onclick: () => choose(key) },
  make("span", { class: "dd-line" }, make("b", {}, part.name), make("span", { class: "dd-state" }, `${now.glyph} ${now.state}`)),
  part.inside.length > 1 ? make("span", { class: "dd-inside" }, ...part.inside.map((name) => make("span", {}, name))) : null,
  make("span", { class: "dd-soft dd-said" }, now.said));
}

/** @param {any} run @param {number} t @param {string} chosen @param {(key: string) => void} choose */
function drawDesign(run, t, chosen, choose) {
  const boxes = run.parts.map((part) => drawPart(run, part, t, chosen, choose));
  if (boxes.length < 2) return make("div", { class: "dd-map" }, ...boxes);
  const wires = boxes.slice(1).map((box, n) => make("div", { class: "dd-wired", "data-cut": String(!["running", "not seen"].includes(partAt(run.parts[n + 1], t).state)) }, box));
  return make("div", { class: "dd-map dd-wires" }, make("div", { class: "dd-front" }, boxes[0]), make("div", { class: "dd-behind" }, ...wires));
}

/** @param {any} run */
function drawFigures(run) {
  return make("ul", { class: "dd-figures", "aria-label": `Figures of the ${run.design}` }, ...run.figures.map(([name, said, share]) => {
    const bar = make("span", { class: "dd-bar" });
    bar.style.width = `${100 * share}%`;
    return make("li", {}, make("span", {}, name), make("span", { class: "dd-track" }, bar), make("span", { class: "dd-code" }, said));
  }));
}

/** The same slices as a table. @param {any} state */
function drawTable(state) {
  const starts = [...new Set(state.runs.flatMap((run) => run.windows.map((w) => w[0])))].sort((a, b) => a - b);
  const cell = (run, start) => { const w = run.windows.find((one) => one[0] === start); return w ? `${w[3]} of ${w[2]}${w[6] === null ? "" : `, p95 ${w[6]} ms`}` : ""; };
  return make("table", {}, make("tr", {}, make("th", { scope: "col" }, "from"), ...state.runs.map((run) => make("th", { scope: "col" }, run.design))),
    ...starts.map((start) => make("tr", {}, make("th", { scope: "row" }, `${start.toFixed(1)} s`), ...state.runs.map((run) => make("td", {}, cell(run, start))))));
}

/** A row of small pictures: one for each design. @param {any} row @param {boolean} here @param {(n: number) => void} ask */
function drawRow(row, here, ask) {
  const spark = (tenths) => svg("svg", { viewBox: `0 0 ${6 * tenths.length} 20`, class: "dd-spark", preserveAspectRatio: "none", "aria-hidden": "true" },
    ...tenths.map((n, at) => svg("rect", { x: 6 * at, y: n < 0 ? 19 : 20 - Math.max(1, 2 * n), width: 5, height: n < 0 ? 1 : Math.max(1, 2 * n), class: n < 9 ? "dd-poor" : "dd-ok" })));
  return make("li", {}, make("button", { type: "button", class: "dd-row", "data-key": `row ${row.n}`, "aria-current": here ? "true" : null, tabindex: here ? 0 : -1,
    onclick: () => ask(row.n) }, make("span", { class: "dd-label" }, row.label),
  ...row.cells.map(([design, tenths, said]) => make("span", { class: "dd-cell" }, spark(tenths), make("span", {}, `${design} ${said}`)))));
}

/** @param {{model: any, el: HTMLElement}} context */
function render({ model, el }) {
  const root = frame(el, "shop", "The store, run two ways");
  const badge = make("p", { class: "dd-soft dd-badge" });
  const rows = make("ol", { class: "dd-rows", "aria-label": "Runs" });
  const plan = make("p", { class: "dd-plan" });
  const columns = make("div", { class: "dd-columns" });
  const patience = make("span", {});
  const legend = make("p", { class: "dd-soft dd-legend" }, "Customers: ", make("span", { class: "dd-key dd-ok" }), " served ", make("span", { class: "dd-key dd-left" }),
    " gave up after ", patience, " s ", make("span", { class: "dd-key dd-bad" }), " failed at once. A dashed line: something happened.");
  const slider = make("input", { type: "range", min: 0, step: 0.25, "aria-label": "Moment of the run", oninput: () => draw() });
  const moment = make("output", { class: "dd-code" });
  const scrub = make("label", { class: "dd-scrub" }, "Time ", slider, " ", moment);
  const events = make("ul", { class: "dd-events", "aria-label": "What happened" });
  const detail = make("p", { class: "dd-detail", "aria-live": "polite" });
  const tables = make("div", { class: "dd-tables" });
  const table = make("details", {}, make("summary", {}, "Slice by slice, as a table"), tables);
  const said = sentence();
  root.append(badge, rows, plan, columns, legend, scrub, detail, events, table, said.node);
  let state = null, chosen = "", focus = -1;
  const choose = (key) => { chosen = chosen === key ? "" : key; draw(); };
  rove(rows, "button");
  rove(columns, "button");

  /** Draw the moment that the slider says; no message to the kernel. */
  function draw() {
    const t = Number(slider.value);
    moment.textContent = `${t.toFixed(2)} s`;
    redraw(columns, ...state.runs.map((run) => make("section", { class: "dd-column", "aria-label": run.design },
      make("p", { class: "dd-name" }, run.design), drawDesign(run, t, chosen, choose), drawFigures(run),
      run.windows.length ? drawChart(run, state, t) : null,
      run.windows.length ? make("p", { class: "dd-slice" }, told(sliceAt(run.windows, t))) : null)));
    if (!columns.querySelector('[tabindex="0"]')) columns.querySelector("button")?.setAttribute("tabindex", "0");
    const happened = state.runs.flatMap((run) => run.events.map(([at, , text]) => ({ at, text, design: run.design }))).filter((e) => e.at <= t + 1e-6);
    redraw(events, ...happened.sort((a, b) => a.at - b.at).map((e) => make("li", {}, make("span", { class: "dd-code" }, e.at < 0 ? "before " : `${e.at.toFixed(1)} s `), `${e.design}: `, ...worded(e.text))));
    const [run, part] = state.runs.flatMap((one) => one.parts.map((p) => [one, p])).find(([one, p]) => `${one.design} ${p.name}` === chosen) || [];
    const kinds = run ? run.kinds.map(([kind, sent, ok]) => `${kind} ${ok} of ${sent}`).join(", ") : "";
    detail.textContent = part ? `${part.name} of the ${run.design}: ${part.spans.map(([at, , how, what]) => `since ${at.toFixed(1)} s ${how}${what ? ` (${what})` : ""}`).join("; ")}.`
      + (kinds ? ` What the customers of the ${run.design} came for: ${kinds} went well.` : "") : "";
  }

  follow(model, root, (newer) => {
    const last = state === null || slider.value === slider.max || newer.focus !== focus;  // who looks at an earlier moment stays there
    state = newer;
    focus = newer.focus;
    const notes = [state.memoryIs && `memory: ${state.memoryIs}`, state.control && `control: ${state.control}`].filter(Boolean);
    badge.textContent = state.source ? [state.measured ? `= measured: ${state.source}` : `~ ${state.source}${state.why ? `: ${state.why}` : ""}`, ...notes].join("; ") : "";
    patience.textContent = String(state.patience);
    root.dataset.measured = String(state.measured);
    plan.textContent = state.plan;
    redraw(rows, ...state.rows.map((row) => drawRow(row, row.n === state.focus, (n) => model.send({ focus: n }))));
    rows.hidden = !state.rows.length;
    const asked = state.runs.some((run) => run.windows.length);
    const end = Math.max(0, ...state.runs.flatMap((run) => run.windows.map(([start, long]) => start + long)));
    slider.max = String(Math.ceil(4 * Math.min(state.seconds, end)) / 4);  // a multiple of its step, or its end is out of reach
    if (last) slider.value = slider.max;
    for (const node of [scrub, legend, table, plan]) node.hidden = !asked;
    redraw(tables, drawTable(state));
    said.say(state.sentence);
    draw();
  });
}

export default { render };
