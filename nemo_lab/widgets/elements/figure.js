// Hosts one Bokeh layout: draws it once a view, then only replaces the data of its named sources.
// BokehJS comes from the kernel, so nothing is fetched from outside.

const libraries = (globalThis.__nemo_lab_bokeh ??= new Map());
const loaded = (globalThis.__nemo_lab_bokeh_loaded ??= []); // for those who want to reach a figure

function bokeh(model) {
  const reference = model.get("library");
  const key = model.get("bokeh_version");
  if (!libraries.has(key)) {
    const load = async () => {
      const id = reference.replace("IPY_MODEL_", "");
      const library = await model.widget_manager.get_model(id);
      const scope = {};
      new Function(library.get("source")).call(scope);
      loaded.push(scope.Bokeh);
      return scope.Bokeh;
    };
    libraries.set(key, load().catch((error) => (libraries.delete(key), Promise.reject(error))));
  }
  return libraries.get(key);
}

// JupyterLab's theme for what is drawn on a canvas; elsewhere the colour of the page's text.
function applyTheme(document, el) {
  const css = getComputedStyle(el);
  const color = (variable) => css.getPropertyValue(variable).trim() || css.color;
  applyInk(document, color("--jp-ui-font-color1"), color("--jp-ui-font-color2"));
}

// Whether it comes into the page before it is given up.
async function attached(el, gone) {
  while (!el.isConnected && !gone()) await after(20);
  return el.isConnected;
}

async function render({ model, el }) {
  el.classList.add("nemo-figure");
  el.setAttribute("role", "img");
  let gone = false;
  let undo = () => {};
  const draw = async () => {
    if (!model.get("item").doc) {
      // it comes; or it was sent before this page listened, and comes again
      model.send({ frame: model.get("frame").number, root: null });
      return;
    }
    const Bokeh = await bokeh(model);
    if (!(await attached(el, () => gone)) || gone) return;
    await inTurn(() => embed(Bokeh));
  };
  const embed = async (Bokeh) => {
    if (gone) return;
    if (!el.isConnected) {
      redraw(); // it was taken out of the page while it waited
      return;
    }
    undo();
    el.setAttribute("aria-label", model.get("label"));
    const target = globalThis.document.createElement("div");
    el.replaceChildren(target);
    const views = await Bokeh.embed.embed_item(structuredClone(model.get("item")), target);
    const [root] = views;
    const { document } = root.model;
    patient(root);
    selfContained(root);
    let disconnect = () => {};
    undo = () => {
      undo = () => {};
      disconnect();
      views.clear(); // also that of its notifications, which is not a root
      const place = Bokeh.documents.indexOf(document);
      if (place >= 0) Bokeh.documents.splice(place, 1);
    };
    if (gone) {
      undo();
      return;
    }
    disconnect = connect(model, document, el);
    el.dataset.ready = "true";
  };
  let drawn = Promise.resolve();
  const redraw = () => {
    drawn = drawn.then(draw).catch((error) => {
      el.textContent = `This figure could not be drawn: ${error.message}`;
      console.error(error);
    });
  };
  el.setAttribute("aria-label", model.get("label"));
  redraw();
  model.on("change:item", redraw);
  return () => {
    gone = true;
    model.off("change:item", redraw);
    undo();
  };
}

// Our colours come with the plot. BokehJS looks for each in the page's style sheet first, for every line and text
// that it paints, and in a page as large as JupyterLab's that takes longer than painting.
function selfContained({ child_views = [], visuals = [] }) {
  for (const one of visuals) {
    if (one._get_css_value) prototypeWith(one, "_get_css_value")._get_css_value = () => "";
  }
  for (const one of child_views) selfContained(one);
}

function connect(model, document, el) {
  let quiet = false;
  const models = [...document._all_models.values()];
  const sources = namedSources(document);
  const plots = models.filter((one) => one.type === "Figure");
  const shown = new Map(); // the columns of each source that are drawn
  let [inSight, late] = [true, false]; // what nobody sees is not painted until it is scrolled to
  const update = () => {
    late = !inSight;
    if (late) return;
    quiet = true;
    const { columns = {}, selected = {} } = model.get("frame");
    for (const [name, packed] of Object.entries(columns)) {
      if (shown.get(name) === packed || !sources.has(name)) continue;
      shown.set(name, packed);
      const data = {};
      for (const [key, value] of Object.entries(packed)) data[key] = column(value);
      sources.get(name).data = data;
      const rows = data.key ? data.key.filter((key) => key >= 0) : (Object.values(data)[0] ?? []); // -1 is a free row
      el.dataset[`count${name[0].toUpperCase()}${name.slice(1)}`] = String(rows.length);
    }
    for (const [name, indices] of Object.entries(selected)) {
      const { selected: now } = sources.get(name) ?? {};
      if (now && String(now.indices) !== String(indices)) now.indices = indices;
    }
    quiet = false;
  };
  for (const [name, keep] of Object.entries(model.get("selectable"))) {
    if (!sources.has(name)) continue;
    const { selected } = sources.get(name);
    selected.properties.indices.change.connect(() => {
      if (quiet || (!keep && selected.indices.length === 0)) return;
      const keys = sources.get(name).data.key;
      model.send({ source: name, keys: selected.indices.map((index) => Number(keys[index])) });
      if (!keep) {
        quiet = true;
        selected.indices = [];
        quiet = false;
      }
    });
  }
  for (const plot of plots.filter((one) => one.name)) {
    plot.on_event("selectiongeometry", ({ geometry, final }) => {
      if (!final || geometry.type !== "rect") return;
      model.send({ plot: plot.name, box: [geometry.x0, geometry.x1, geometry.y0, geometry.y1] });
    });
  }
  const drag = () => {
    const tools = plots.flatMap((one) => one.toolbar.tools).filter((one) => one.name && "active" in one);
    for (const tool of tools) tool.active = tool.name === model.get("drag");
    el.dataset.drag = model.get("drag");
  };
  const named = new Map(models.filter((one) => one.name && /Range1d$/.test(one.type)).map((one) => [one.name, one]));
  const held = new Set();
  const ranges = () => {
    const wanted = model.get("ranges");
    for (const [name, range] of named) {
      if (wanted[name]) {
        const [start, end] = wanted[name];
        range.have_updated_interactively = true; // it would follow the data again
        range.setv({ start, end });
        held.add(name);
      } else if (held.delete(name)) {
        range.reset();
        range._invalidate_dataranges?.();
      }
    }
  };
  for (const plot of plots.filter((one) => named.has(one.x_range.name))) {
    plot.on_event("rangesupdate", ({ x0, x1 }) => {
      const [name, wanted] = [plot.x_range.name, model.get("ranges")];
      if (!(name in wanted)) return; // it follows the data
      model.set("ranges", { ...wanted, [name]: [x0, x1] });
      model.save_changes();
    });
  }
  const sized = new ResizeObserver(() => {
    const pixels = Math.round(el.clientWidth);
    if (!pixels || Math.abs(pixels - model.get("pixels")) < 40) return; // hidden, or much the same
    model.set("pixels", pixels);
    model.save_changes();
  });
  sized.observe(el);
  const sight = new IntersectionObserver((entries) => {
    inSight = entries.at(-1).isIntersecting;
    if (inSight && late) update();
  });
  sight.observe(el);
  const theme = () => applyTheme(document, el);
  const observer = new MutationObserver(theme);
  observer.observe(globalThis.document.body, { attributes: true, attributeFilter: ["data-jp-theme-name"] });
  const updateSoon = () => {
    if (inSight) inTurn(update);
    else late = true;
  };
  model.on("change:frame", updateSoon);
  model.on("change:ranges", ranges);
  model.on("change:drag", drag);
  update();
  theme();
  ranges();
  if (model.get("drag")) drag();
  return () => {
    model.off("change:frame", updateSoon);
    turns.waiting.delete(update);
    model.off("change:ranges", ranges);
    model.off("change:drag", drag);
    observer.disconnect();
    sized.disconnect();
    sight.disconnect();
  };
}

export default { initialize: (given) => (listen(given), initialize(given)), render };
