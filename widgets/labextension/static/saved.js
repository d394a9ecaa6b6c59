// @ts-check
// A prebuilt extension for JupyterLab and Notebook 7, in plain JavaScript: JupyterLab loads this file and asks
// `window._JUPYTERLAB[name]` for `init` and `get`, as it asks what a bundler makes (dev_mode/bootstrap.js there).
//
// A notebook keeps of a widget the number of a model, which dies with its kernel, and a still picture beside it. In a
// trusted notebook JupyterLab prefers the number, and ipywidgets (jupyterlab_widgets/src/renderer.ts) then writes "Error
// displaying widget: model not found", or without a kernel "Loading widget..." for ever. Here the picture takes its place.
(() => {
  const VIEW = "application/vnd.jupyter.widget-view+json";
  const HTML = "text/html";

  /**
   * Make a renderer of widgets show the picture beside the widget as long as the kernel has no such widget.
   * @param {any} renderer what ipywidgets made: a Lumino panel that holds the widget's view
   * @param {(model: any) => HTMLElement} picture
   * @param {any} session the notebook's session context
   */
  function fallBack(renderer, picture, session) {
    const draw = renderer.renderModel.bind(renderer);
    let id = "", latest = /** @type {any} */ (null);
    const live = () => {
      const kernel = session.session?.kernel;
      return Boolean(kernel && kernel.status !== "dead" && kernel.hasComm(id));
    };
    const settle = () => {
      if (!latest || live() && renderer.widgets.length) return;
      for (const view of [...renderer.widgets]) view.parent = null; // its kernel is gone: its buttons would do nothing
      renderer.removeClass("jupyter-widgets");
      renderer.node.replaceChildren(picture(latest));
    };
    renderer.renderModel = async (/** @type {any} */ model) => {
      if (!(HTML in model.data)) return draw(model);
      latest = model;
      const shown = id === model.data[VIEW].model_id && live() && renderer.widgets.length;
      if (shown) return; // only its saved picture is newer; drawn anew, the widget would lose the focus
      id = model.data[VIEW].model_id;
      const drawn = draw(model);
      if (!live()) settle();
      await drawn;
      settle();
    };
    session.statusChanged.connect(settle);
    session.kernelChanged.connect(settle);
    renderer.disposed.connect(() => {
      session.statusChanged.disconnect(settle);
      session.kernelChanged.disconnect(settle);
    });
    return renderer;
  }

  /**
   * Put what a widget looks like now in the place of what it looked like when its cell ran: that is what gets saved.
   * @param {any} notebook
   * @param {Record<string, any>} bundle
   */
  function keep(notebook, bundle) {
    for (const { outputs } of notebook.model?.cells ?? []) {
      for (let n = 0; outputs && n < outputs.length; n += 1) {
        const { data } = outputs.get(n);
        if (data[VIEW]?.model_id !== bundle[VIEW].model_id || data[HTML] === bundle[HTML]) continue;
        outputs.set(n, { ...outputs.get(n).toJSON(), data: bundle });
      }
    }
  }

  /**
   * Prepare a notebook that is being opened.
   * @param {any} panel
   * @param {any} context
   */
  function createNew(panel, context) {
    const rendermime = panel.content.rendermime;
    const create = rendermime.createRenderer.bind(rendermime);
    const picture = (/** @type {any} */ model) => {
      const still = create(HTML);
      still.renderModel(rendermime.createModel({ data: { [HTML]: model.data[HTML] } })); // not trusted: it is sanitised
      return still.node;
    };
    rendermime.createRenderer = (/** @type {string} */ type) =>
      type === VIEW ? fallBack(create(type), picture, context.sessionContext) : create(type);
    const heard = (/** @type {any} */ event) => keep(panel.content, event.detail);
    document.addEventListener("drydock-output", heard);
    panel.disposed.connect(() => document.removeEventListener("drydock-output", heard));
  }

  const plugin = {
    id: "drydock:saved",
    description: "A saved notebook shows a widget's still picture where its kernel is gone.",
    autoStart: true,
    activate: (/** @type {any} */ app) => { app.docRegistry.addWidgetExtension("Notebook", { createNew }); },
  };
  const page = /** @type {any} */ (window);
  page._JUPYTERLAB = page._JUPYTERLAB || {};
  page._JUPYTERLAB.drydock = { init: () => {}, get: async () => () => ({ __esModule: true, default: plugin }) };
})();
