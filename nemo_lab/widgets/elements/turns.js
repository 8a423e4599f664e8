// The figures of a page paint new data in turns. Where painting is slow, each gives way to all else that waits, for as long
// as it took itself: a slow browser shows fewer frames, and has time for what people do and for what the kernel says.

const QUICK = 50; // milliseconds after which nobody gives way
const PATIENCE = 1000; // at the most
const LONGEST = 10_000; // after which the next takes its turn in any case
const turns = (globalThis.__nemo_lab_turns ??= { waiting: new Map(), taken: false });

// Do something when it is its turn; what waits already is not done twice.
function inTurn(job) {
  const { waiting } = turns;
  if (!waiting.has(job)) {
    const one = {};
    one.promise = new Promise((resolve) => (one.done = resolve));
    waiting.set(job, one);
    if (!turns.taken) takeTurns();
  }
  return waiting.get(job).promise;
}

async function takeTurns() {
  turns.taken = true;
  await null; // whoever asked first has the promise before its job is done
  while (turns.waiting.size) {
    const [[job, { done }]] = turns.waiting;
    turns.waiting.delete(job);
    const start = performance.now();
    const result = Promise.resolve().then(job);
    done(result);
    await Promise.race([result.catch(() => {}), after(LONGEST)]); // an error is for those who asked
    await new Promise((go) => requestAnimationFrame(() => setTimeout(go))); // BokehJS paints in the next frame
    const spent = performance.now() - start;
    if (spent > QUICK) await nothingElse(Math.min(spent, PATIENCE));
  }
  turns.taken = false;
}

const after = (milliseconds) => new Promise((go) => setTimeout(go, milliseconds));

// Resolves when the browser has nothing else to do, or after so many milliseconds.
function nothingElse(timeout) {
  const wait = globalThis.requestIdleCallback;
  return wait ? new Promise((go) => wait(go, { timeout })) : after(timeout);
}
