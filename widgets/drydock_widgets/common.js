// @ts-check
// Shared by all widgets; put in front of each widget's own file (see base.py).

/**
 * Make an element. Strings become text nodes, never markup: names and log lines are strangers' text.
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `on...` are listeners, `true` sets, `false`/`null` leaves out
 * @param {...(Node|string|null)} children
 * @returns {any}
 */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, String(value));
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/**
 * A sentence of the course: what stands between two backticks is set as code, as in the notebook around it.
 * @param {string} text
 * @returns {(string|HTMLElement)[]}
 */
function worded(text) {
  return text.split(/`([^`]+)`/).map((part, n) => (n % 2 ? make("code", { class: "dd-code" }, part) : part));
}

/**
 * Write a sentence into an element.
 * @param {HTMLElement} node
 * @param {string} text
 */
function write(node, text) { node.replaceChildren(...worded(text)); }

/**
 * A number of things in words, as drydock.model.layer counts them.
 * @param {number} number
 * @param {string} noun
 */
function counted(number, noun) { return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`; }

/** @param {number|null} s */
function seconds(s) { return s === null || s === undefined ? "" : `${s.toFixed(1)} s`; }

/**
 * The widget's outermost element. Keys pressed inside never reach JupyterLab, where `d d` deletes the cell; Escape leads
 * out, to the cell: from there on JupyterLab's own keys count.
 * @param {HTMLElement} el
 * @param {string} name
 * @param {string} label
 */
function frame(el, name, label) {
  const root = make("section", {
    class: `dd dd-${name}`, "aria-label": label, "data-lm-suppress-shortcuts": "true",
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      event.stopPropagation();
      if (event.key === "Escape") /** @type {HTMLElement|null} */ (root.closest(".jp-Cell"))?.focus();
    },
  });
  el.append(root);
  return root;
}

/**
 * The sentence under the figure: read out by a screen reader, at most once a second.
 * @returns {{node: HTMLElement, say: (text: string) => void}}
 */
function sentence() {
  const node = make("p", { class: "dd-sentence", "aria-live": "polite" });
  let last = -Infinity, timer = 0, next = "", shown = "";
  const show = () => { timer = 0; last = Date.now(); if (shown !== next) write(node, shown = next); };
  return { node, say: (text) => {
    next = text;
    if (timer) return;
    const wait = last + 1000 - Date.now();
    if (wait <= 0) show(); else timer = window.setTimeout(show, wait);
  } };
}

/**
 * Up, Down, Home and End move between the elements that match; one of them is in the tab order.
 * @param {HTMLElement} box
 * @param {string} selector
 */
function rove(box, selector) {
  box.addEventListener("keydown", (event) => {
    const items = /** @type {HTMLElement[]} */ ([...box.querySelectorAll(selector)]);
    const at = items.indexOf(/** @type {HTMLElement} */ (event.target));
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: items.length - 1 }[event.key];
    if (at < 0 || to === undefined || !items[to]) return;
    event.preventDefault();
    items.forEach((item, n) => { item.tabIndex = n === to ? 0 : -1; });
    items[to].focus();
  });
}

/**
 * Put the focus on the widget itself: where the button that was pressed is gone or can no longer be pressed, the keyboard
 * must not begin anew at the top of the page. A click on the widget's text does not go here.
 * @param {HTMLElement|null} root
 */
function land(root) {
  if (!root) return;
  root.tabIndex = -1;
  root.addEventListener("blur", () => root.removeAttribute("tabindex"), { once: true });
  root.focus({ preventScroll: true });
}

/**
 * Replace an element's children and put the focus back on the one with the same `data-key`, or on the widget.
 * @param {HTMLElement} box
 * @param {...(Node|null)} children
 */
function redraw(box, ...children) {
  const active = /** @type {HTMLElement|null} */ (document.activeElement);
  const inside = active && active !== box && box.contains(active);
  const key = inside ? active.dataset.key : undefined;
  box.replaceChildren(...children.filter((child) => child !== null));
  if (!inside) return;
  const again = [...box.querySelectorAll("[data-key]")].find((node) => node.dataset.key === key);
  if (again && !again.disabled) again.focus(); else land(box.closest(".dd"));
}

/**
 * Draw now and whenever the kernel sends a newer snapshot; while a button is held down, as soon as it is let go: a button
 * replaced between press and release hears no click.
 * @param {any} model
 * @param {HTMLElement} root the widget in this view: what happens in others is none of its business
 * @param {(state: any) => void} draw
 */
function follow(model, root, draw) {
  let waiting = 0;
  const update = () => {
    cancelAnimationFrame(waiting);
    if (root.querySelector("button:active")) { waiting = requestAnimationFrame(update); return; }
    const state = model.get("state");
    if (!state || !state.seq) return;
    const inside = root.contains(document.activeElement);
    draw(state);
    const now = document.activeElement;
    if (inside && !(now && root.contains(now) && now.getClientRects().length && !now.matches(":disabled"))) land(root);
  };
  model.on("change:state", update);
  update();
  model.on("change:output", () => keep(model));
  keep(model);
}

/**
 * Tell the kit's JupyterLab extension (labextension/static/saved.js) what the notebook is to keep of the widget.
 * @param {any} model
 */
function keep(model) {
  const output = model.get("output");
  if (Object.keys(output).length) document.dispatchEvent(new CustomEvent("drydock-output", { detail: output }));
}
