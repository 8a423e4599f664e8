"""The dashboard's controls, used by mouse or by keyboard alone, and what is seen of it then."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator

Done = Callable[[], bool]
Seen = Callable[[Any], Done]  # looks before a gesture; what it gives says whether its effect is to be seen
PANELS = ("run", "front", "network", "steer", "inspect", "species", "history")
# name, panel, and whether it can be used, of all that is to be seen and takes the focus
CONTROLS = """all => all.filter((one) => one.checkVisibility()).map((one) => ({
  panel: [...document.querySelectorAll(".nemo-dashboard .nemo-panel")].indexOf(one.closest(".nemo-panel")),
  name: one.tagName === "SUMMARY" ? one.textContent.match(/[A-Za-z]+/)[0]
      : (one.labels?.[0]?.textContent || one.ariaLabel || one.textContent).trim(),
  enabled: !one.disabled,
}))"""
INTERACTIVE = ", ".join(
    f".nemo-dashboard {kind}"
    for kind in ("button", "input", "select", "textarea", "summary", "a[href]", "[role=button]")
)
# of the option that a menu is at, and of another
PLACES = """(menu, given) => ({
  from: menu.selectedIndex, to: [...menu.options].findIndex((one) => one.value === given),
})"""
# what a figure shows, wherever it is scrolled to
PIXELS = """async (figure) => {
  await new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)));
  const inside = (root) => [...root.querySelectorAll("*")].flatMap((one) => [
    ...(one.tagName === "CANVAS" && one.width && one.height ? [one.toDataURL()] : []),
    ...(one.shadowRoot ? inside(one.shadowRoot) : []),
  ]);
  return inside(figure).join();
}"""


def panel_of(at: Any, panel: str) -> Locator:
    """A panel of the dashboard."""
    found: Locator = at.page.locator(".nemo-dashboard .nemo-panel").nth(PANELS.index(panel))
    return found


def control(at: Any, panel: str, name: str) -> Locator:
    """A control of a panel, by what is written on it or beside it."""
    inside = panel_of(at, panel)
    button = inside.get_by_role("button", name=name, exact=True)
    return button.or_(inside.get_by_label(name, exact=True)).or_(inside.locator("summary", has_text=name))


def controls(at: Any) -> list[dict[str, Any]]:
    """All controls to be seen, in the order of the page."""
    found = at.page.locator(INTERACTIVE).evaluate_all(CONTROLS)
    return [{**one, "panel": PANELS[one["panel"]]} for one in found]


def focused(at: Any) -> list[tuple[str, str]]:
    """Panel and name of the control that has the focus, if one of them has."""
    focus = f"[document.activeElement].filter((one) => one.matches('{INTERACTIVE}'))"
    found = at.page.evaluate(f"({CONTROLS})({focus})")
    return [(PANELS[one["panel"]], one["name"]) for one in found]


def by_mouse(found: Locator, given: str | None) -> None:
    """Use a control as who has a mouse; letters are typed, and a menu's list is none of the page's."""
    page, kind = found.page, found.evaluate("one => one.type ?? one.tagName")
    if kind == "range":
        box, most = found.bounding_box(), float(found.get_attribute("max") or 1)
        assert box is not None
        found.click(position={"x": float(given or 0) / most * box["width"], "y": box["height"] / 2})
    elif kind == "select-one":
        found.select_option(given)
    elif kind == "select-multiple":
        found.get_by_role("option", name=given, exact=True).click()
    elif given is not None:
        found.click(click_count=3)
        page.keyboard.insert_text(given)
        page.locator(".nemo-status").click()
    else:
        found.click()


def by_keyboard(found: Locator, given: str | None, press: str) -> None:
    """Use a control that has the focus by keys alone."""
    keyboard, kind = found.page.keyboard, found.evaluate("one => one.type ?? one.tagName")
    found.focus()
    if kind == "range":
        keyboard.press("Home")
        for _ in range(int(given or 0)):
            keyboard.press("ArrowRight")
    elif kind == "select-one":
        places = found.evaluate(PLACES, given)
        assert places["to"] >= 0
        for _ in range(abs(places["to"] - places["from"])):
            keyboard.press("ArrowDown" if places["to"] > places["from"] else "ArrowUp")
    elif kind == "select-multiple":
        keyboard.press(
            "Home"
        )  # what is typed into a list begins anew after a second, which a slow machine takes
        for _ in range(found.evaluate(PLACES, given)["to"]):
            keyboard.press("ArrowDown")
    elif given is not None:
        keyboard.press("Control+a")
        keyboard.type(given)
        keyboard.press("Tab")
    else:
        keyboard.press(press)


def pixels(label: str) -> Callable[[Any], object]:
    """What a figure shows."""

    def look(at: Any) -> object:
        return at.in_sight(label).evaluate(PIXELS)

    return look


def turns(look: Callable[[Any], object], wanted: object) -> Seen:
    """Something that is looked at comes to be what is wanted, and was not before."""

    def before(at: Any) -> Done:
        assert look(at) != wanted, "it is so before anything is done"
        return lambda: look(at) == wanted

    return before


def says(pattern: str) -> Seen:
    """The dashboard says something that it did not say before."""
    return turns(lambda at: re.search(pattern, at.text()) is not None, True)


def unsays(pattern: str) -> Seen:
    """The dashboard says something no more."""
    return turns(lambda at: re.search(pattern, at.text()) is not None, False)


def changes(look: Callable[[Any], object]) -> Seen:
    """Something that is looked at is not what it was."""

    def before(at: Any) -> Done:
        was = look(at)
        return lambda: look(at) != was

    return before


def repaints(label: str) -> Seen:
    """A figure shows something else."""
    return changes(pixels(label))


def there(panel: str, name: str, *, enabled: bool = False) -> Seen:
    """A control comes to be, or can be used from now on."""

    def look(at: Any) -> bool:
        found = control(at, panel, name)
        return bool(found.count() and found.is_visible() and (not enabled or found.is_enabled()))

    return turns(look, True)


def counts(label: str, what: str, number: int) -> Seen:
    """A figure shows so many of something."""
    return turns(lambda at: at.figure(label).get_attribute(f"data-count-{what}"), str(number))


def shown(label: str) -> Seen:
    """A figure comes to be seen."""
    return turns(lambda at: at.figure(label).is_visible(), True)


def dragging(label: str, tool: str) -> Seen:
    """The mouse does something else in a figure."""
    return turns(lambda at: at.figure(label).get_attribute("data-drag"), tool)


def past(at: Any) -> bool:
    """Whether the front shows the moment that the slider is at, which is not the present."""
    moment = panel_of(at, "front").locator(".nemo-slider output").inner_text()
    return moment == f"{at.points('evaluated')} of {at.evaluated()}" and not present(at)


def present(at: Any) -> bool:
    """Whether the front shows the run as it is."""
    return at.points("evaluated") == at.evaluated() and not control(at, "front", "Now").is_enabled()


def selected(at: Any) -> object:
    """The configuration that is inspected."""
    return re.search(r"study\.config\((\d+)\)", at.text())[1]  # type: ignore[index]


def listed(at: Any) -> int:
    """How many steers are to be seen."""
    return len(re.findall(r"^after \d+", panel_of(at, "history").inner_text(), re.MULTILINE))
