/** Decimal units, as Docker writes sizes. @param {number} size */
function bytes(size) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let n = 0;
  while (size >= 999.5 && n < units.length - 1) { size /= 1000; n += 1; }
  return `${Number(size.toPrecision(3))}${units[n]}`;
}

/**
 * What so many of a kind take; null where it was not measured.
 * @param {any} column
 * @param {number} count
 * @param {boolean} same one image for all, or one for each
 */
function totals(column, count, same) {
  const { start, memory, image, own } = column;
  return {
    start: start ? start.value : null,
    memory: memory ? count * memory.value : null,
    disk: image ? (same ? 1 : count) * image.value + count * (own ? own.value : 0) : null,
  };
}

/** How many there is memory for. @param {any} column @param {number} memory */
function room(column, memory) { return column.memory && column.memory.value ? Math.floor(memory / column.memory.value) : null; }

/**
 * Whether a column gives what is needed; null where no figure says.
 * @param {any} need
 * @param {any} column
 * @param {number} count
 * @param {number} memory
 */
function gives(need, column, count, memory) {
  if (need.rule === "second") return column.start ? column.start.value <= 1 : null;
  if (need.rule === "fit") { const fit = room(column, memory); return fit === null ? null : fit >= count; }
  return need[column.kind];
}

const ANSWERS = new Map([[true, "✓ yes"], [false, "✗ no"], [null, "? not measured"]]);

/** @param {any} column @param {number} count @param {number} memory @param {boolean} same */
function told(column, count, memory, same) {
  const total = totals(column, count, same);
  const said = [];
  if (total.memory !== null) said.push(`${bytes(total.memory)} of memory`);
  if (total.disk !== null) said.push(`${bytes(total.disk)} of disk`);
  if (column.start) said.push(`${count === 1 ? "" : "each "}ready in ${column.start.text}`);
  const name = count === 1 ? column.title.slice(0, -1) : column.title;
  const fit = room(column, memory);
  return `${count} ${name}${column.known ? ` (${column.known})` : ""}: ${said.join(", ") || "nothing was measured"}${fit === null ? "" : `; ${bytes(memory)} hold ${fit.toLocaleString("en")}`}.`;
}

/**
 * One thing that the program stands on. What there is many times is drawn as a pile.
 * @param {any} stratum
 * @param {number} count
 * @param {boolean} same
 * @param {boolean} path
 */
function drawStratum(stratum, count, same, path) {
  const times = stratum.times === "machine" || (stratum.times === "image" && same) ? 1 : count;
  const bar = make("span", { class: "dd-bar" });
  bar.style.width = `${100 * stratum.width}%`;
  return make("li", { class: "dd-stratum", "data-times": times > 1 ? "many" : "one", "data-name": stratum.name,
    "data-path": path ? String(stratum.passed) : null },
  make("span", { class: "dd-line" }, make("span", {}, make("b", {}, stratum.name), path && stratum.passed ? " ↓" : ""), make("span", { class: "dd-times" }, `× ${times}`)),
  make("span", { class: "dd-line" }, make("span", {}, ...worded(stratum.what)), make("span", {}, stratum.size)),
  stratum.width ? make("span", { class: "dd-track" }, bar) : null);
}

/**
 * One measure of both columns, to one scale, and how each figure is known.
 * @param {string} label
 * @param {string} key
 * @param {any[]} columns
 * @param {(number|null)[]} values
 * @param {(value: number) => string} write
 * @param {number} scale
 * @param {string} note
 * @param {boolean} alike whether the columns' figures come from one machine: else no bars, for no scale fits both
 */
function drawMeasure(label, key, columns, values, write, scale, note, alike) {
  return make("div", { class: "dd-measure", "data-measure": key }, make("p", { class: "dd-name" }, label, " ", make("span", { class: "dd-soft" }, alike ? note : "one measured here, one cited from another machine: not to be compared")),
    ...columns.map((column, n) => {
      const value = values[n], figure = column[key === "disk" ? "image" : key];
      const bar = make("span", { class: `dd-bar dd-${column.kind}` });
      const over = value !== null && value > scale;
      bar.style.width = `${value === null ? 0 : 100 * Math.min(1, value / scale)}%`;
      return make("div", { class: "dd-figure" },
        make("span", { class: "dd-line" }, make("span", {}, column.title), make("span", {}, value === null ? "not measured" : `${over ? "! more than there is: " : ""}${write(value)}`)),
        make("span", { class: "dd-track" }, value === null || !alike ? null : bar),
        figure ? make("span", { class: "dd-known dd-soft" }, `${figure.glyph} ${figure.known}: `, ...worded(figure.source)) : null);
    }));
}

/** @param {{model: any, el: HTMLElement}} context */
function render({ model, el }) {
  const root = frame(el, "stacks", "Virtual machines and containers");
  let state = null, same = true, path = false, chosen = "";
  const slider = make("input", { type: "range", min: 1, step: 1, "aria-label": "How many apps", oninput: () => draw(), onchange: () => keep() });
  const many = make("output", { class: "dd-code" });
  const image = make("input", { type: "checkbox", checked: true, onchange: () => { same = image.checked; draw(); } });
  const trace = make("input", { type: "checkbox", onchange: () => { path = trace.checked; draw(); } });
  const laptop = make("input", { type: "number", min: 1, max: 1024, step: 1, class: "dd-laptop", "aria-label": "Memory of the laptop in GB", oninput: () => draw(), onchange: () => keep() });
  const knobs = make("div", { class: "dd-knobs" }, make("label", {}, "Apps ", slider, " ", many), make("label", {}, image, " all from the same image"),
    make("label", {}, trace, " follow a write to a file"), make("label", {}, "on a laptop of ", laptop, " GB"));
  const columns = make("div", { class: "dd-columns" });
  const way = make("p", { class: "dd-way", "aria-live": "polite" });
  const measures = make("div", { class: "dd-measures" });
  const select = make("select", { onchange: () => { chosen = select.value; draw(); } });
  const answers = make("div", { class: "dd-answers", "aria-live": "polite" });
  const said = sentence();
  root.append(knobs, columns, way, measures, make("label", { class: "dd-need" }, "I need to … ", select), answers, said.node);

  const memory = () => Math.max(1, Number(laptop.value) || 1) * 1e9;
  const keep = () => model.send({ count: Number(slider.value), memory: Math.round(memory()) });

  /** Draw for where slider, boxes and choice are; no message to the kernel. */
  function draw() {
    const count = Number(slider.value);
    many.textContent = String(count);
    redraw(columns, ...state.columns.map((column) => make("section", { class: "dd-column", "aria-label": column.title },
      make("p", { class: "dd-name" }, `${count} ${count === 1 ? column.title.slice(0, -1) : column.title}`),
      make("ol", {}, ...column.strata.map((one) => drawStratum(one, count, same, path))))));
    way.textContent = path ? state.columns.map((column) => `${column.kind === "vm" ? "VM" : "Container"}: ${column.path} (${counted(column.kernels, "kernel")})`).join(". ") : "";
    const all = state.columns.map((column) => totals(column, count, same));
    const largest = (key) => Math.max(1e-9, ...all.map((one) => one[key] || 0));
    redraw(measures,
      drawMeasure("Start-up time", "start", state.columns, all.map((one) => one.start), (v) => `${Number(v.toPrecision(3))} s`, largest("start"), "of one", state.alike),
      drawMeasure("Memory", "memory", state.columns, all.map((one) => one.memory), bytes, memory(), `the whole width is the laptop's ${bytes(memory())}`, state.alike),
      drawMeasure("Disk", "disk", state.columns, all.map((one) => one.disk), bytes, largest("disk"), "", state.alike));
    const need = state.needs.find((one) => one.ask === chosen);
    redraw(answers, ...(need ? [...state.columns.map((column) => {
      const answer = gives(need, column, count, memory());
      return make("p", { class: "dd-answer", "data-answer": String(answer) }, make("span", { class: "dd-state" }, ANSWERS.get(answer)), `${need.rule && answer !== null ? ` (${column.known})` : ""} ${column.kind === "vm" ? "virtual machine" : "container"}`);
    }), make("p", {}, ...worded(need.why))] : []));
    said.say(state.columns.map((column) => told(column, count, memory(), same)).join(" "));
  }

  follow(model, root, (newer) => {
    const first = state === null;
    state = newer;
    if (first) {  // afterwards slider and memory are the reader's
      slider.max = String(state.most);
      slider.value = String(state.count);
      laptop.value = String(Math.max(1, Math.round(state.memory / 1e9)));
      select.append(make("option", { value: "" }, "choose"), ...state.needs.map((need) => make("option", { value: need.ask }, need.ask)));
    }
    draw();
  });
}

export default { render };
