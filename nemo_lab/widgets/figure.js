// Hosts one Bokeh layout: draws it once a view, then only replaces the data of its named sources.
// BokehJS comes from the kernel, so nothing is fetched from outside.

const libraries = (globalThis.__nemo_lab_bokeh ??= new Map());
const loaded = (globalThis.__nemo_lab_bokeh_loaded ??= []); // for those who want to reach a figure
const ARRAYS = { f4: Float32Array, i4: Int32Array, u1: Uint8Array };

// JupyterLab takes plain keys for its own (4 makes a heading, arrows change the cell), also in a
// focused menu of an output. Inside our panels they belong to the control; Ctrl+S and such do not.
if (!globalThis.__nemo_lab_keys) {
  globalThis.__nemo_lab_keys = true;
  const mark = (event) => {
    const plain = !(event.ctrlKey || event.metaKey || event.altKey);
    if (event.target.closest?.(".nemo-panel")) event.target.toggleAttribute("data-lm-suppress-shortcuts", plain);
  };
  globalThis.addEventListener("keydown", mark, true);
}

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

function numbers({ dtype, data }) {
  const bytes = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
  return new ARRAYS[dtype](bytes);
}

function column(value) {
  if (Array.isArray(value)) return value;
  if (value.labels) return Array.from(numbers(value), (code) => value.labels[code]);
  return numbers(value);
}

// JupyterLab's theme for what is drawn on a canvas; elsewhere the colour of the page's text.
function applyTheme(document, el) {
  const css = getComputedStyle(el);
  const ink = css.getPropertyValue("--jp-ui-font-color1").trim() || css.color;
  const faint = css.getPropertyValue("--jp-ui-font-color2").trim() || css.color;
  for (const one of document._all_models.values()) {
    const properties = {};
    const set = (color, names) => {
      for (const name of names) if (name in one.properties) properties[name] = color;
    };
    if (one.tags.includes("ink")) set(ink, ["line_color", "text_color"]);
    else if (one.tags.includes("faint")) set(faint, ["line_color", "text_color"]);
    else if ("major_label_text_color" in one.properties || "label_text_color" in one.properties) {
      set(ink, ["axis_label_text_color", "major_label_text_color", "label_text_color", "title_text_color"]);
      set(faint, ["axis_line_color", "major_tick_line_color"]);
    } else if ("grid_line_color" in one.properties) set(faint, ["grid_line_color"]);
    else if (one.type === "Title") set(ink, ["text_color"]);
    if (Object.keys(properties).length) one.setv(properties);
  }
}

async function attached(el) {
  while (!el.isConnected) await new Promise((resume) => setTimeout(resume, 20));
}

async function render({ model, el }) {
  el.classList.add("nemo-figure");
  el.setAttribute("role", "img");
  el.setAttribute("aria-label", model.get("label"));
  const target = globalThis.document.createElement("div");
  el.appendChild(target);
  let gone = false;
  let undo = () => {};
  const ready = (async () => {
    const Bokeh = await bokeh(model);
    await attached(el);
    if (gone) return;
    const views = await Bokeh.embed.embed_item(structuredClone(model.get("item")), target);
    const root = [...views][0].model;
    undo = connect(model, root.document, el);
    el.dataset.ready = "true";
  })();
  ready.catch((error) => {
    target.textContent = `This figure could not be drawn: ${error.message}`;
    console.error(error);
  });
  return () => {
    gone = true;
    undo();
  };
}

function connect(model, document, el) {
  let quiet = false;
  const sources = new Map();
  for (const one of document._all_models.values()) {
    if (one.type === "ColumnDataSource" && one.name) sources.set(one.name, one);
  }
  const update = () => {
    quiet = true;
    const frame = model.get("frame");
    for (const [name, columns] of Object.entries(frame.columns ?? {})) {
      const data = {};
      for (const [key, value] of Object.entries(columns)) data[key] = column(value);
      sources.get(name).data = data;
      el.dataset[`count${name[0].toUpperCase()}${name.slice(1)}`] = String(Object.values(data)[0]?.length ?? 0);
    }
    for (const [name, indices] of Object.entries(frame.selected ?? {})) {
      sources.get(name).selected.indices = indices;
    }
    quiet = false;
  };
  for (const [name, keep] of Object.entries(model.get("selectable"))) {
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
  const theme = () => applyTheme(document, el);
  const observer = new MutationObserver(theme);
  observer.observe(globalThis.document.body, { attributes: true, attributeFilter: ["data-jp-theme-name"] });
  model.on("change:frame", update);
  update();
  theme();
  return () => {
    model.off("change:frame", update);
    observer.disconnect();
    document.clear();
  };
}

export default { render };
