/**
 * A row as it stood at a moment of the replay.
 * @param {any} row
 * @param {number} t seconds since the build began
 */
function rowAt(row, t) {
  const [from, to] = row.at || [];
  if (from === undefined || t < from) return { ...row, glyph: ".", word: "waiting", time: null, output: null };
  if (to === undefined || t < to) return { ...row, glyph: ">", word: "running", time: t - from };
  return row;
}

/** One line of the list, made once and then only written to, so that a click or the focus survives an update. */
function line(act) {
  const up = make("button", { type: "button", onclick: () => act("up") }, "↑");
  const down = make("button", { type: "button", onclick: () => act("down") }, "↓");
  const part = (name) => make("span", { class: `dd-${name}` });
  const parts = { number: part("number"), state: part("state"), text: part("text dd-code"), time: part("time"),
    why: part("why dd-soft"), foretold: part("foretold"), output: make("pre", { class: "dd-output dd-code" }) };
  const moves = make("span", { class: "dd-moves" }, up, down);
  const node = make("li", { class: "dd-row" }, parts.number, parts.state, parts.text, parts.time, moves,
    parts.why, parts.foretold, parts.output);
  return { node, up, down, write: (row, movable) => {
    node.dataset.word = row.word;
    parts.number.textContent = String(row.n);
    parts.state.textContent = `${row.glyph} ${row.word}`;
    parts.text.textContent = row.text;
    parts.time.textContent = row.note && row.word === "running" ? row.note : seconds(row.time);
    write(parts.why, row.why || "");
    parts.foretold.textContent = row.foretold || "";
    parts.foretold.hidden = !row.foretold;
    parts.output.textContent = (row.output || []).join("\n");
    parts.output.hidden = !(row.output || []).length;
    moves.hidden = !movable;
    up.disabled = !row.up;
    down.disabled = !row.down;
    up.setAttribute("aria-label", `Move step ${row.n} up: ${row.text}`);
    down.setAttribute("aria-label", `Move step ${row.n} down: ${row.text}`);
  } };
}

/** @param {{model: any, el: HTMLElement}} context */
function render({ model, el }) {
  const root = frame(el, "buildcache", "Build and cache");
  const head = make("p", { class: "dd-soft dd-head" });
  const list = make("ol", { class: "dd-steps" });
  const pages = make("p", { class: "dd-pages" });
  const said = sentence();
  const problem = make("p", { class: "dd-problem" });
  const slider = make("input", { type: "range", min: 0, step: "any", "aria-label": "Replay: seconds since the build began",
    oninput: () => draw() });
  const clock = make("output");
  const replay = make("label", { class: "dd-replay" }, "Replay ", slider, " ", clock);
  const files = make("fieldset", { class: "dd-files" });
  root.append(head, list, pages, said.node, problem, replay, files);
  let rows = [];
  let state = null;
  let moving = null;

  /** Ask the kernel to swap a line with its neighbour; the focus goes with the line, however often it was asked. */
  function move(at, way) {
    const { line } = state.rows[at];
    moving = { line, way, asked: moving && moving.line === line ? moving.asked + 1 : 1 };
    model.send({ move: line, by: way === "up" ? -1 : 1 });
  }

  /** Write the rows, as they are now or as the slider says; no message to the kernel. */
  function draw() {
    const t = Number(slider.value);
    const past = state.end !== null && t < Number(slider.max);
    clock.textContent = seconds(t);
    state.rows.forEach((row, n) => rows[n].write(past ? rowAt(row, t) : row, state.try));
    if (past) {
      const done = state.rows.filter((row) => t >= (row.at || [])[1]).length;
      said.say(`After ${seconds(t)}: ${done} of ${counted(state.count, "step")} done.`);
    } else said.say(state.sentence);
  }

  /** Boxes for the files of the context, made anew only when the list is another one. */
  function drawFiles() {
    files.hidden = !state.try;
    if (!state.try) return;
    redraw(files, make("legend", {}, "What if? Nothing is built or written. Move a line with its arrows, or say that a file is edited:"),
      ...state.files.map((file) => {
        const box = make("input", { type: "checkbox", "data-key": `file ${file.id}`,
          onchange: () => model.send({ edit: file.id }) });
        box.checked = file.on;
        return make("label", { class: "dd-file" }, box, " ", make("span", { class: "dd-code" }, file.path));
      }),
      make("button", { type: "button", "data-key": "reset", disabled: !state.tried, onclick: () => model.send({ reset: true }) },
        "Take it all back"));
  }

  follow(model, root, (newer) => {
    state = newer;
    head.textContent = [state.engine, state.builder && `${state.builder} builder`, state.status].filter(Boolean).join(", ");
    while (rows.length < state.rows.length) {
      const at = rows.length;
      rows.push(line((way) => move(at, way)));
      list.append(rows[at].node);
    }
    rows.splice(state.rows.length).forEach((row) => row.node.remove());
    list.setAttribute("start", String(state.first + 1));
    replay.hidden = state.end === null;
    slider.max = String(Math.max(0.001, state.end || 0, ...state.rows.map((row) => (row.at || [])[1] || 0)));
    slider.value = slider.max;
    draw();
    if (moving) {
      const { line, way } = moving;
      const row = rows[state.rows.findIndex((one) => one.line === line)];
      if (row) (row[way].disabled ? row[way === "up" ? "down" : "up"] : row[way]).focus();
      moving.asked -= 1;
      if (!moving.asked) moving = null;
    }
    write(problem, state.problem);
    problem.hidden = !state.problem;
    pages.hidden = state.count <= state.page;
    const turn = (label, first) => make("button", { type: "button", "data-key": label,
      disabled: first < 0 || first >= state.count, onclick: () => model.send({ page: first }) }, label);
    redraw(pages, turn("Earlier steps", state.first - state.page), document.createTextNode(" "),
      turn("Later steps", state.first + state.page),
      document.createTextNode(` steps ${state.first + 1} to ${state.first + state.rows.length} of ${state.count}`));
    drawFiles();
  });
}

export default { render };
