// anywidget waits two seconds for the module of a widget. Where a busy browser takes longer, its model drops
// whatever the kernel says from then on. Ours listens again as other widgets do, and asks for what it missed.
async function hear({ model }) {
  const own = await model.widget_manager.get_model(model.get("own"));
  const nothing = { content: { data: {} } };
  await own._handle_comm_msg(nothing).catch(() => {
    if (!own.comm) return; // a page without a kernel
    const gated = prototypeWith(own, "_handle_comm_msg");
    const { _handle_comm_msg: heard } = Object.getPrototypeOf(gated);
    own.comm.on_msg((message) => heard.call(own, message));
    own.comm.send({ method: "request_state" }, own.callbacks());
  });
}

function prototypeWith(own, name) {
  let one = own;
  while (!Object.hasOwn(one, name)) one = Object.getPrototypeOf(one);
  return one;
}

// Not awaited: anywidget waits for `initialize`, and this waits for anywidget.
function initialize(given) {
  hear(given).catch((error) => console.error(error));
}
