/** What each kind of row in the file list is called. @type {Record<string, string>} */
const WORDS = { added: "added", changed: "changed", removed: "hidden", same: "written again", folder: "folder" };

const BETWEEN = { added: "only second", changed: "differs", removed: "only first" };

/**
 * One line of the stack: a layer is a button with a bar, an instruction without files a hairline.
 * @param {any} bar
 * @param {number} which
 * @param {any} state
 * @param {(message: any) => void} ask
 */
function drawBar(bar, which, state, ask) {
  if (bar.layer === null) {
    return make("li", { class: "dd-config" }, make("span", { class: "dd-code" }, bar.text),
      make("span", { class: "dd-soft" }, " config only, no files"));
  }
  const here = state.focus[0] === which && state.focus[1] === bar.layer;
  const solid = make("span", { class: "dd-bar" });
  solid.style.width = `${100 * bar.width}%`;
  const ghost = make("span", { class: "dd-ghost" });
  ghost.style.width = `${100 * bar.lost}%`;
  if (bar.lost) solid.append(ghost);
  return make("li", {}, make("button", { type: "button", class: "dd-layer", "data-key": `layer ${which} ${bar.layer}`,
    "aria-current": here ? "true" : null, tabindex: here ? 0 : -1, onclick: () => ask({ focus: [which, bar.layer] }),
  },
  make("span", { class: "dd-line" }, make("span", { class: "dd-text dd-code" }, bar.text), make("span", {}, bar.size)),
  make("span", { class: "dd-track" }, solid),
  make("span", { class: "dd-line dd-soft" },
    make("span", {}, `layer ${bar.layer} · ${bar.id}${bar.shared ? " · = shared" : ""}`),
    make("span", {}, bar.hidden ? `- ${bar.hidden} hidden` : ""))));
}

/**
 * One image's stack, the base at the bottom.
 * @param {any} side
 * @param {number} which
 * @param {any} state
 * @param {(message: any) => void} ask
 */
function drawStack(side, which, state, ask) {
  const rows = side.bars.map((bar) => drawBar(bar, which, state, ask)).reverse();
  if (side.cut) rows.push(make("li", { class: "dd-soft" }, `and ${side.cut} more below`));
  return make("div", { class: "dd-stack" }, make("p", { class: "dd-name" }, side.name, ` ${side.size}`),
    make("ol", { "aria-label": `Layers of ${side.name}, top first` }, ...rows));
}

/**
 * Where a file is written along the stack.
 * @param {any} thread
 * @param {(message: any) => void} ask
 */
function drawThread(thread, ask) {
  const head = ["Layer", "What", "Size", "SHA-256", "Mode", ""];
  const cell = (row, text) => make("td", { "data-kind": row.kind }, text);
  const rows = thread.rows.map((row) => make("tr", {}, cell(row, String(row.layer)),
    make("td", { class: "dd-state" }, `${row.glyph} ${WORDS[row.kind] || row.kind}`),
    cell(row, row.kind === "removed" ? "" : row.size), cell(row, row.id), cell(row, row.kind === "removed" ? "" : row.mode),
    make("td", {}, row.kind === "removed" ? "" : make("button", { type: "button", "data-key": `content ${row.layer}`,
      "aria-label": `Show the content in layer ${row.layer}`, onclick: () => ask({ content: row.layer }) }, "Show"))));
  return [make("p", {}, "The thread of ", make("span", { class: "dd-code" }, `/${thread.path}`), " through the layers:"),
    make("table", {}, make("tr", {}, ...head.map((text) => make("th", {}, text))), ...rows),
    thread.content ? make("pre", { class: "dd-content dd-code", tabindex: 0 }, thread.content) : null];
}

/** @param {{model: any, el: HTMLElement}} context */
function render({ model, el }) {
  const root = frame(el, "layerstack", "Layers of an image");
  const stacks = make("div", { class: "dd-images" });
  const views = make("div", { class: "dd-views", role: "group", "aria-label": "Which files" });
  const find = make("input", { type: "search", placeholder: "part of a path", "aria-label": "Find files" });
  const list = make("ul", { class: "dd-files" });
  const pages = make("p", { class: "dd-pages" });
  const files = make("div", { class: "dd-right" }, views, make("label", { class: "dd-find" }, "Find ", find), list, pages);
  const said = sentence();
  const thread = make("div", { class: "dd-thread" });
  root.append(make("div", { class: "dd-panes" }, stacks, files), said.node, thread);
  const ask = (message) => model.send(message);
  let typing = 0;
  find.addEventListener("input", () => {
    clearTimeout(typing);
    typing = window.setTimeout(() => ask({ find: find.value }), 200);
  });
  rove(stacks, "button.dd-layer");
  rove(list, "button");

  follow(model, root, (state) => {
    root.classList.toggle("dd-two", state.two);
    redraw(stacks, ...state.stacks.map((side, which) => drawStack(side, which, state, ask)));
    if (!stacks.querySelector('[tabindex="0"]')) stacks.querySelector("button")?.setAttribute("tabindex", "0");
    const names = { layer: `Layer ${state.focus[1]} wrote`, merged: `All files as of layer ${state.focus[1]}` };
    if (state.two) names.compare = "What differs";
    redraw(views, ...Object.entries(names).map(([view, label]) => make("button", { type: "button", "data-key": view,
      "aria-pressed": String(state.view === view), onclick: () => ask({ view }) }, label)));
    const words = state.view === "compare" ? BETWEEN : WORDS;
    const up = state.folder && state.view === "merged" ? [make("li", {}, make("button", { type: "button", "data-key": "up",
      class: "dd-file dd-up", onclick: () => ask({ up: true }) }, `↰ up from /${state.folder}`))] : [];
    redraw(list, ...up, ...state.files.map((file, n) => make("li", {}, make("button", { type: "button", class: "dd-file",
      "data-key": `file ${n}`, tabindex: n === 0 || up.length ? 0 : -1, onclick: () => ask({ file: file.n, listing: state.listing }) },
    make("span", { class: "dd-state" }, `${file.glyph} ${words[file.kind] || file.kind}`),
    make("span", { class: "dd-code" }, file.kind === "folder" ? `${file.path}/` : file.path),
    make("span", { class: "dd-size" }, file.size)))));
    const turn = (label, first) => make("button", { type: "button", "data-key": label,
      disabled: first < 0 || first >= state.count, onclick: () => ask({ page: first }) }, label);
    const range = state.count ? ` ${state.first + 1} to ${state.first + state.files.length} of ${state.count}, the heaviest first `
      : " no files ";
    redraw(pages, turn("←", state.first - state.page), document.createTextNode(range), turn("→", state.first + state.page));
    said.say(state.sentence);
    redraw(thread, ...(state.thread ? drawThread(state.thread, ask) : []));
  });
}

export default { render };
