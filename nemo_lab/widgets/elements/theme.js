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

export default {};
