/**
 * The fields of a question, and how to read the answer from them.
 * @param {any} state
 * @returns {{node: HTMLElement, read: () => any}}
 */
function fields(state) {
  if (state.kind === "order") return lines(state);
  if (state.kind === "choice" || state.kind === "several") {
    const type = state.kind === "choice" ? "radio" : "checkbox";
    const given = [state.answer].flat();
    const inputs = state.choices.map((choice) => make("input", {
      type, name: "answer", value: choice, checked: given.includes(choice) }));  // a form's radios are a group of its own
    const node = make("div", { class: "dd-choices" }, ...inputs.map((input) =>
      make("label", { class: "dd-choice" }, input, " ", ...worded(input.value))));
    return { node, read: () => {
      const chosen = inputs.filter((input) => input.checked).map((input) => input.value);
      return state.kind === "several" ? chosen : chosen[0];
    } };
  }
  const input = make("input", { type: "text", inputmode: state.kind === "number" ? "decimal" : null,
    "aria-label": state.kind === "number" ? `Number of ${state.unit}` : "Your answer", autocomplete: "off" });
  if (state.answer !== null) input.value = String(state.answer);
  return { node: make("div", {}, input, " ", state.unit), read: () => input.value.trim() || undefined };
}

/**
 * Lines to put in order with the buttons beside them.
 * @param {any} state
 */
function lines(state) {
  const order = [...(state.answer || state.choices)];
  const node = make("ol", { class: "dd-lines" });
  const move = (from, to) => { order.splice(to, 0, ...order.splice(from, 1)); draw(); };
  const draw = () => redraw(node, ...order.map((line, n) => make("li", {},
    make("button", { type: "button", "data-key": `up ${line}`, disabled: n === 0, "aria-label": `Move up: ${line}`,
      onclick: () => move(n, n - 1) }, "↑"), " ",
    make("button", { type: "button", "data-key": `down ${line}`, disabled: n === order.length - 1,
      "aria-label": `Move down: ${line}`, onclick: () => move(n, n + 1) }, "↓"), " ",
    make("span", { class: "dd-code" }, line))));
  draw();
  return { node, read: () => order };
}

/** @param {{model: any, el: HTMLElement}} context */
function render({ model, el }) {
  const root = frame(el, "question", "Question");
  const prompt = make("legend", { class: "dd-prompt" });
  const place = make("div");
  const set = make("fieldset", {}, prompt, place);
  const send = make("button", { type: "submit" }, "That is my guess");
  const form = make("form", {}, set, send);
  const said = sentence();
  const why = make("p", { class: "dd-why" });
  root.append(form, said.node, why);
  let given = { read: () => undefined };
  let drawn = "";
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const answer = given.read();
    if (answer === undefined || answer.length === 0) said.say("Nothing is chosen yet.");
    else model.send({ answer });
  });
  follow(model, root, (state) => {
    write(prompt, state.prompt);
    const key = JSON.stringify([state.choices, state.answer, state.kind]);
    if (key !== drawn && !root.contains(document.activeElement) || drawn === "") {
      const made = fields(state);
      given = made;
      place.replaceChildren(made.node);
      drawn = key;
    }
    set.disabled = state.revealed;
    send.hidden = state.revealed;
    send.textContent = state.answer === null ? "That is my guess" : "Change my guess";
    root.dataset.outcome = state.revealed && state.answer !== null ? (state.right ? "right" : "wrong") : "open";
    said.say(state.sentence);
    write(why, state.why || "");
  });
}

export default { render };
