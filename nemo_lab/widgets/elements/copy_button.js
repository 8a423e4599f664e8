// A button that puts a text on the clipboard, and the text itself, folded, for those who select by hand.
function render({ model, el }) {
  const { document, navigator } = globalThis;
  el.classList.add("nemo-copy");
  const button = document.createElement("button");
  const said = document.createElement("span");
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  const text = document.createElement("pre");
  button.type = "button";
  button.className = "jupyter-button widget-button";
  button.textContent = model.get("label");
  said.setAttribute("role", "status");
  summary.textContent = "Show code";
  text.tabIndex = 0;
  details.append(summary, text);
  el.append(button, said, details);
  const update = () => {
    text.textContent = model.get("text");
    button.disabled = !model.get("text");
    said.textContent = "";
  };
  const select = () => {
    details.open = true;
    const range = document.createRange();
    range.selectNodeContents(text);
    const selection = globalThis.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    return document.execCommand("copy");
  };
  button.addEventListener("click", async () => {
    let done = false;
    try {
      await navigator.clipboard.writeText(model.get("text"));
      done = true;
    } catch {
      done = select(); // no permission, or no secure page
    }
    said.textContent = done ? " copied" : " selected: press Ctrl+C";
  });
  model.on("change:text", update);
  update();
  return () => model.off("change:text", update);
}

export default { initialize, render };
