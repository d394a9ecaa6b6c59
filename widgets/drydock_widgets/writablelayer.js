/** What each letter of `docker diff` is called. @type {Record<string, string>} */
const WORDS = { added: "added", changed: "changed", removed: "deleted" };

/** Up to so many containers each get a whole line, so that their bars are to the scale of the image's. */
const FEW = 4;

/**
 * A container as it stood at a moment: its state, the size of its layer, and the width of its bar.
 * @param {any} one
 * @param {number} t
 */
function stateAt(one, t) {
  const span = [...one.spans].reverse().find(([at]) => at <= t);
  if (!span || span[1] === null) return { state: "not there yet", size: "", width: 0 };
  return { state: span[1], size: span[2], width: span[3] };
}

/**
 * One container: a thin dashed layer of its own.
 * @param {any} one
 * @param {number} t
 * @param {any} state
 * @param {(message: any) => void} ask
 */
function drawContainer(one, t, state, ask) {
  const now = stateAt(one, t);
  const here = one.n === state.focus;
  const bar = make("span", { class: "dd-thin" });
  bar.style.width = `${100 * now.width}%`;
  const gone = now.state === "removed";
  return make("li", {}, make("button", { type: "button", class: "dd-box", "data-key": `container ${one.n}`, "data-state": now.state,
    "aria-current": here ? "true" : null, tabindex: here ? 0 : -1, onclick: () => ask({ focus: one.n }) },
  make("span", { class: "dd-line" }, make("span", { class: "dd-code" }, one.name), make("span", {}, gone ? `- ${now.size} gone` : now.size)),
  make("span", { class: "dd-track" }, now.width ? bar : null),
  make("span", { class: "dd-line dd-soft" }, make("span", {}, `${now.state}${gone ? "" : " · writable"}`))));
}

/**
 * One layer of the image: solid, since nobody writes into it.
 * @param {any} layer
 * @param {any} detail
 */
function drawLayer(layer, detail) {
  const bar = make("span", { class: "dd-bar" });
  bar.style.width = `${100 * layer.width}%`;
  const from = detail && detail.from === layer.layer;
  return make("li", { class: "dd-read", "data-from": from ? "true" : null },
    make("span", { class: "dd-line" }, make("span", { class: "dd-text dd-code" }, layer.text), make("span", {}, layer.size)),
    make("span", { class: "dd-track" }, bar),
    make("span", { class: "dd-line dd-soft" }, make("span", {}, `layer ${layer.layer} · ${layer.id}`),
      make("span", {}, from ? "↑ the file is from here" : "= read only")));
}

/**
 * One line of `docker diff`; it can be chosen.
 * @param {any} row
 * @param {boolean} first
 * @param {any} state
 * @param {(message: any) => void} ask
 */
function drawRow(row, first, state, ask) {
  return make("li", {}, make("button", { type: "button", class: "dd-file", "data-key": `row ${row.n}`, tabindex: first ? 0 : -1,
    "aria-pressed": String(row.picked), onclick: () => ask({ pick: row.n, listing: state.listing }) },
  make("span", { class: "dd-state" }, `${row.glyph} ${WORDS[row.kind]}`), make("span", { class: "dd-code" }, `/${row.path}`),
  make("span", { class: "dd-size" }, row.size)));
}

/**
 * Buttons that turn a page, and what is on it; nothing where one page holds all.
 * @param {string} what
 * @param {[number, number, number]} range first, page, count
 * @param {(first: number) => void} go
 */
function turner(what, [first, page, count], go) {
  if (count <= page) return [];
  const turn = (label, to) => make("button", { type: "button", "data-key": `${what} ${label}`, "aria-label": `${label} ${what}`,
    disabled: to < 0 || to >= count, onclick: () => go(to) }, label === "Earlier" ? "←" : "→");
  return [turn("Earlier", first - page), document.createTextNode(` ${what} ${first + 1} to ${Math.min(first + page, count)} of ${count} `),
    turn("Later", first + page)];
}

/** @param {{model: any, el: HTMLElement}} context */
function render({ model, el }) {
  const root = frame(el, "writablelayer", "Containers on one image");
  const head = make("p", { class: "dd-soft dd-head" });
  const boxes = make("ol", { class: "dd-boxes", "aria-label": "Containers" });
  const boxPages = make("p", { class: "dd-pages" });
  const name = make("p", { class: "dd-name" });
  const layers = make("ol", { class: "dd-image", "aria-label": "Layers of the image, top first" });
  const title = make("p", { class: "dd-name" });
  const list = make("ul", { class: "dd-files", "aria-label": "Changes of the chosen container" });
  const pages = make("p", { class: "dd-pages" });
  const detail = make("p", { class: "dd-detail", "aria-live": "polite" });
  const slider = make("input", { type: "range", min: 0, step: 1, "aria-label": "Replay: steps", oninput: () => draw() });
  const step = make("output", { class: "dd-code" });
  const replay = make("label", { class: "dd-replay" }, "Replay ", slider, " ", step);
  const said = sentence();
  root.append(head, make("div", { class: "dd-panes" }, make("div", { class: "dd-stack" }, boxes, boxPages, name, layers),
    make("div", { class: "dd-right" }, title, list, pages, detail)), replay, said.node);
  let state = null;
  const ask = (message) => model.send(message);
  rove(boxes, "button");
  rove(list, "button");

  /** Draw the moment that the slider says; no message to the kernel. */
  function draw() {
    const t = state.begin + Number(slider.value);
    const [did, sentence] = state.moments[Number(slider.value)] || ["", state.sentence];
    step.textContent = did ? `${Number(slider.value) + 1} of ${state.moments.length}: ${did}` : "";
    redraw(boxes, ...state.containers.map((one) => drawContainer(one, t, state, ask)));
    if (!boxes.querySelector('[tabindex="0"]')) boxes.querySelector("button")?.setAttribute("tabindex", "0");
    const rows = state.rows.filter((row) => row.at[0] <= t && t < row.at[1]);
    redraw(list, ...rows.map((row, n) => drawRow(row, n === 0, state, ask)));
    if (!rows.length) list.append(make("li", { class: "dd-soft dd-none" }, "nothing: this layer is empty"));
    said.say(sentence);
  }

  follow(model, root, (newer) => {
    state = newer;
    head.textContent = state.engine ? `read from ${state.engine}` : "";
    title.textContent = state.chosen ? `docker diff ${state.chosen}` : "";
    name.textContent = `${state.image.name} ${state.image.size}, one for all`;
    root.classList.toggle("dd-few", state.count <= FEW);
    const bars = state.image.layers.map((layer) => drawLayer(layer, state.detail)).reverse();
    if (state.image.cut) bars.push(make("li", { class: "dd-soft" }, `and ${state.image.cut} more below`));
    redraw(layers, ...bars);
    detail.replaceChildren(...(state.detail ? [`/${state.detail.path}: `, ...worded(state.detail.why)] : []));
    redraw(boxPages, ...turner("containers", [state.first, state.page, state.count], (first) => ask({ page: first })));
    redraw(pages, ...turner("changes", [state.from, state.rowsPage, state.rowsCount], (first) => ask({ rows: first })));
    replay.hidden = state.moments.length < 2;
    const last = slider.value === slider.max;  // who looks at an earlier step stays there
    slider.max = String(Math.max(0, state.moments.length - 1));
    if (last) slider.value = slider.max;
    draw();
  });
}

export default { render };
