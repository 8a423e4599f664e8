"""Figures paint in turns: what that promises, in a page that holds nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nemo_lab.widgets.elements as elements

pytestmark = pytest.mark.browser
TURNS = (Path(elements.__file__).parent / "turns.js").read_text(encoding="utf-8")
# what is done, in its order, and how it went for those who asked
SCENE = """async () => {
  const done = [];
  const job = (name) => () => (done.push(name), name);
  const again = job("twice asked");
  const wrong = () => { done.push("wrong"); throw new Error("wrong"); };
  const asked = [inTurn(job("first")), inTurn(again), inTurn(again), inTurn(wrong), inTurn(job("last"))];
  const before = [...done];
  const given = await Promise.allSettled(asked);
  while (turns.taken) await after(10);
  const answers = given.map((one) => one.value ?? one.reason.message);
  return {before, done, answers, waiting: turns.waiting.size};
}"""
# milliseconds from a slow job to the next in a page that has other things to do, and how many of those it did
BUSY = """async () => {
  const spend = (time) => { const end = performance.now() + time; while (performance.now() < end); };
  const channel = new MessageChannel();
  let [other, going] = [0, true];
  channel.port1.onmessage = () => { spend(5); other += 1; if (going) channel.port2.postMessage(0); };
  channel.port2.postMessage(0);
  let [ended, began] = [0, 0];
  await Promise.all([
    inTurn(() => { spend(200); ended = performance.now(); other = 0; }),
    inTurn(() => { began = performance.now(); going = false; }),
  ]);
  return [began - ended, other];
}"""


@pytest.fixture
def page(browser: Any) -> Any:
    page = browser.new_page()
    page.add_script_tag(content=TURNS)
    yield page
    page.close()


def test_each_has_its_turn_once_and_an_error_is_for_those_who_asked(page: Any) -> None:
    assert page.evaluate(SCENE) == {
        "before": [],
        "done": ["first", "twice asked", "wrong", "last"],
        "answers": ["first", "twice asked", "twice asked", "wrong", "last"],
        "waiting": 0,
    }


def test_one_that_never_ends_stops_nobody(page: Any) -> None:
    page.clock.install()
    page.evaluate("globalThis.last = 0; inTurn(() => new Promise(() => {})); inTurn(() => (last = 1)); 0")
    page.clock.run_for(5_000)
    assert page.evaluate("last") == 0
    page.clock.run_for(10_000)
    assert page.evaluate("last") == 1


def test_a_slow_one_gives_way_to_what_else_there_is(page: Any) -> None:
    waited, other = page.evaluate(BUSY)
    assert waited > 100
    assert other > 5
