// A browser's own slider with its label: screen readers get a name, which ipywidgets' slider has not.
let made = 0;

function render({ model, el }) {
  el.classList.add("nemo-slider");
  const { document } = globalThis;
  const label = document.createElement("label");
  const input = document.createElement("input");
  const shown = document.createElement("output");
  input.type = "range";
  input.id = `nemo-slider-${(made += 1)}`;
  label.htmlFor = input.id;
  label.textContent = model.get("label");
  const update = () => {
    input.max = model.get("max");
    input.value = model.get("value");
    input.disabled = model.get("max") === 0;
    shown.textContent = `${model.get("value")} of ${model.get("max")}`;
  };
  input.addEventListener("input", () => {
    model.set("value", Number(input.value));
    model.save_changes();
  });
  el.append(label, input, shown);
  model.on("change:value", update);
  model.on("change:max", update);
  update();
  return () => {
    model.off("change:value", update);
    model.off("change:max", update);
  };
}

export default { initialize, render };
