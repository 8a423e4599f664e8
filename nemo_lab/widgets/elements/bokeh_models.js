// What a live figure and a saved report both do with BokehJS: read columns, take the page's colours, and
// have patience with slow hands.
// Put before figure.js and report.js as text: a widget is one module, a report one script.

const ARRAYS = { f4: Float32Array, i4: Int32Array, u1: Uint8Array };

// bytes come as a view from the kernel, as base64 from a file
function numbers({ dtype, data }) {
  const bytes =
    typeof data === "string"
      ? Uint8Array.from(atob(data), (character) => character.charCodeAt(0)).buffer
      : data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
  return new ARRAYS[dtype](bytes);
}

function column(value) {
  if (Array.isArray(value)) return value;
  if (value.labels) return Array.from(numbers(value), (code) => value.labels[code]);
  return numbers(value);
}

function namedSources(document) {
  const sources = [...document._all_models.values()].filter((one) => one.type === "ColumnDataSource" && one.name);
  return new Map(sources.map((one) => [one.name, one]));
}

// what is drawn on a canvas knows no style sheet: text and lines in ink, what stays behind faint
function applyInk(document, ink, faint) {
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

// A hand may be slow: BokehJS takes a button that rests for 300 ms as a press, which is neither a click nor the
// beginning of a drag, and which no tool of ours answers to.
function patient({ child_views = [], canvas_view }) {
  const gestures = canvas_view?.ui_event_bus?.ui_gestures;
  if (gestures) gestures.constructor.press_threshold = 2 ** 31 - 1;
  for (const one of child_views) patient(one);
}
