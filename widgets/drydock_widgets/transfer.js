/**
 * A number of bytes as Docker writes it: powers of 1000, three digits.
 * @param {number|null} n
 */
function bytes(n) {
  if (n === null || n === undefined) return "?";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (n >= 999.5 && at < units.length - 1) { n /= 1000; at += 1; }
  return `${Number(n.toPrecision(3))}${units[at]}`;
}

/** What has already arrived on the other shelf, and what is still under way. */
const ARRIVED = ["exists", "mounted", "sent", "received"];
const MOVING = ["sending", "receiving", "unpacking"];

/**
 * A blob as it stood at a moment of the replay; between two moments its bytes grow evenly.
 * @param {any} row
 * @param {number} t seconds since the transfer began
 */
function blobAt(row, t) {
  if (!row.at || !row.at.length) return row;
  const n = row.at.filter(([when]) => when <= t).length - 1;
  if (n < 0) return { ...row, state: "waiting", moved: 0, estimated: false };
  const [when, state, moved] = row.at[n];
  const next = row.at[n + 1];
  const share = next && MOVING.includes(state) ? (t - when) / Math.max(0.001, next[0] - when) : 0;
  const soFar = Math.round(moved + share * Math.max(0, (next ? next[2] : moved) - moved));
  return { ...row, state, moved: soFar, estimated: row.estimated && soFar > 0 };
}

/** One row, made once and then only written to: what is on the left shelf, what happens, what is on the right. */
function line(pick) {
  const shelf = () => {
    const bar = make("span", { class: "dd-bar" });
    const label = make("span", { class: "dd-label dd-code" });
    return { bar, label, node: make("span", { class: "dd-shelf" }, make("span", { class: "dd-track" }, bar), label) };
  };
  const here = shelf(), there = shelf();
  const state = make("span", { class: "dd-state" });
  const amount = make("span", { class: "dd-amount" });
  const note = make("span", { class: "dd-note dd-soft" });
  const button = make("button", { type: "button", class: "dd-blob", onclick: pick },
    here.node, make("span", { class: "dd-middle" }, state, amount, note), there.node);
  const put = (place, row, have, share) => {
    place.node.dataset.have = have;
    place.bar.style.width = `${100 * row.width * (have === "part" ? share : 1)}%`;
    place.label.textContent = have === "none" ? "not here" : `${row.id} · ${row.kind}`;
  };
  return { node: make("li", {}, button), button, write: (row, way, glyphs) => {
    const far = ARRIVED.includes(row.state) ? "have" : MOVING.includes(row.state) ? "part" : "none";
    const share = row.size ? Math.min(1, row.moved / row.size) : 0.5;
    put(here, row, way === "push" ? "have" : far, share);
    put(there, row, way === "push" ? far : "have", share);
    button.dataset.state = row.state;
    const arrow = MOVING.includes(row.state) || ["sent", "received"].includes(row.state) ? (way === "push" ? " →" : " ←") : "";
    state.textContent = `${glyphs[row.state]} ${row.state}${arrow}`;
    amount.textContent = `${row.estimated ? "~" : ""}${bytes(row.moved)} of ${bytes(row.size)}`;
    write(note, row.note);
    note.hidden = !row.note;
  } };
}

/** A total as a bar with its number. */
function total(label) {
  const bar = make("span", { class: "dd-bar" });
  const number = make("span", { class: "dd-number" });
  const node = make("p", { class: "dd-total" }, make("span", {}, label), make("span", { class: "dd-track" }, bar), number);
  return { node, write: (n, whole, text) => { bar.style.width = `${whole ? 100 * Math.min(1, n / whole) : 0}%`; number.textContent = text; } };
}

/** @param {{model: any, el: HTMLElement}} context */
function render({ model, el }) {
  const root = frame(el, "transfer", "Push and pull");
  const head = make("p", { class: "dd-soft dd-head" });
  const shelves = make("p", { class: "dd-heads", "aria-hidden": "true" },
    make("span", {}, "this machine"), make("span", {}), make("span", {}, "the registry"));
  const list = make("ol", { class: "dd-blobs", "aria-label": "Blobs: this machine, what happens, the registry" });
  const pages = make("p", { class: "dd-pages" });
  const detail = make("p", { class: "dd-detail", "aria-live": "polite" });
  const size = total("the image"), moved = total("moved");
  const problem = make("p", { class: "dd-problem" });
  const slider = make("input", { type: "range", min: 0, step: "any", "aria-label": "Replay: seconds since the transfer began",
    oninput: () => draw() });
  const clock = make("output");
  const replay = make("label", { class: "dd-replay" }, "Replay ", slider, " ", clock);
  const said = sentence();
  root.append(head, shelves, list, pages, detail, size.node, moved.node, problem, replay, said.node);
  let rows = [];
  let state = null;
  let picked = -1;
  rove(list, "button");

  /** Write the rows as they are, or as they were when the slider says; no message to the kernel. */
  function draw() {
    const t = Number(slider.value);
    const past = state.end !== null && t < Number(slider.max);
    clock.textContent = seconds(t);
    const shown = state.rows.map((row) => past ? blobAt(row, t) : row);
    shown.forEach((row, n) => {
      rows[n].write(row, state.direction, state.glyphs);
      rows[n].button.setAttribute("aria-pressed", String(row.n === picked));
      if (rows[n].button !== document.activeElement) rows[n].button.tabIndex = n === 0 ? 0 : -1;
    });
    const parts = shown.filter((row) => ["layer", "config"].includes(row.kind));
    const sum = past ? parts.reduce((all, row) => all + row.moved, 0) : state.moved;
    size.write(state.size || 0, state.size, `${bytes(state.size)} in the registry, compressed`);
    moved.write(sum, state.size, `${state.estimated && !past ? "~" : ""}${bytes(sum)}`);
    const chosen = state.rows.find((row) => row.n === picked);
    write(detail, chosen ? `${chosen.digest} (${chosen.kind}): ${chosen.why}` : state.count ? "Choose a blob to read why." : "");
    const done = shown.filter((row) => ARRIVED.includes(row.state)).length;
    said.say(past ? `After ${seconds(t)}: ${done} of ${counted(shown.length, "blob")} ${done === 1 ? "is" : "are"} on both shelves, ${bytes(sum)} moved.` : state.sentence);
  }

  follow(model, root, (newer) => {
    state = newer;
    head.textContent = state.head;
    while (rows.length < state.rows.length) {
      const at = rows.length;
      const made = line(() => { picked = picked === state.rows[at].n ? -1 : state.rows[at].n; draw(); });
      rows.push(made);
      list.append(made.node);
    }
    rows.splice(state.rows.length).forEach((row) => row.node.remove());
    for (const node of [shelves, size.node, moved.node]) node.hidden = !state.count;
    write(problem, state.problem);
    problem.hidden = !state.problem;
    replay.hidden = state.end === null;
    slider.max = String(Math.max(0.001, state.end || 0));
    slider.value = slider.max;
    pages.hidden = state.count <= state.page;
    const turn = (label, first) => make("button", { type: "button", "data-key": label, disabled: first < 0 || first >= state.count,
      onclick: () => model.send({ page: first }) }, label);
    redraw(pages, turn("Earlier blobs", state.first - state.page), document.createTextNode(" "), turn("Later blobs", state.first + state.page),
      document.createTextNode(` blobs ${state.first + 1} to ${state.first + state.rows.length} of ${state.count}`));
    draw();
  });
}

export default { render };
