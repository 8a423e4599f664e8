// Every view of a model shows the model's frame; messages bring what is new of it.
function listen({ model }) {
  let asked = false;
  model.on("change:frame", () => (asked = false));
  model.on("msg:custom", (change, buffers) => {
    if (!("base" in change)) return;
    const old = model.get("frame");
    if (old.number !== change.base) {
      if (!asked) model.send({ again: true });
      asked = true;
      return;
    }
    const columns = { ...old.columns };
    for (const [name, changed] of Object.entries(change.columns)) {
      columns[name] = { ...columns[name] };
      for (const [key, piece] of Object.entries(changed)) {
        columns[name][key] = Array.isArray(piece) ? piece : patched(columns[name][key], piece, buffers);
      }
    }
    model.set("frame", { number: change.base + 1, columns, selected: change.selected });
  });
}

// a column with a new tail, and new values at some rows
function patched(old, { dtype, labels, length, start, tail, rows, values }, buffers) {
  const whole = new ARRAYS[dtype](length);
  if (start) whole.set(numbers(old).subarray(0, start));
  if (tail !== undefined) whole.set(numbers({ dtype, data: buffers[tail] }), start);
  if (rows !== undefined) {
    const fresh = numbers({ dtype, data: buffers[values] });
    numbers({ dtype: "i4", data: buffers[rows] }).forEach((row, i) => (whole[row] = fresh[i]));
  }
  const data = new DataView(whole.buffer);
  return labels ? { dtype, data, labels } : { dtype, data };
}
