"""The inspector as a person uses it: the strip, a draft beside what was kept, the clipboard."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
Opened = Callable[..., Any]


def test_a_node_is_tapped_above_its_bar_edited_beside_what_was_kept_and_copied(open_notebook: Opened) -> None:
    notebook = open_notebook(width=900)
    notebook.open_dashboard()
    page, inspector = notebook.page, notebook.page.locator(".nemo-panel", has_text="Inspect").first
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    notebook.ask("dashboard.study.enqueue([[8] * 36, [2] * 36, [4] * 36]); print('waiting')")
    notebook.ask("dashboard.study.optimize(20, progress=False); print('done')")
    notebook.wait_for_evaluations(20)
    ids = notebook.ask(
        "b = dashboard.study.evaluations(bits=True).iloc[:, -36:]\n"
        "print(*[int(b.index[(b == w).all(axis=1)][0]) for w in (8, 2, 4)])"
    )
    wide, narrow, middle = map(int, ids.split()[-3:])
    notebook.ask(f"dashboard.select({wide}); print('selected')")
    notebook.wait_for_text(f"study.config({wide})")
    notebook.button("Set as baseline").click()
    notebook.ask(f"dashboard.select({middle}); dashboard.select({narrow}); print('selected')")
    expect(inspector).to_contain_text(f"▼ 36 lowered; the line is the bit-width in Configuration {wide}")

    page.mouse.click(*notebook.drawn_at("Bit-width", 0, 5.0, 7.5))  # far above a bar of two bits
    notebook.wait_for_text("1 of 36 nodes selected")
    notebook.label("Change to").select_option("6")
    notebook.button("Set").click()
    expect(inspector).to_contain_text(
        f"▲ 1 raised, ▼ 0 lowered; the line is the bit-width in Configuration {narrow}"
    )
    notebook.rest()
    heads = inspector.get_by_role("columnheader").all_inner_texts()
    assert heads[-4:] == ["draft", f"Configuration {narrow}", "difference", f"Configuration {wide}"]
    panel, table = inspector.bounding_box(), inspector.get_by_role("table").bounding_box()
    assert panel is not None
    assert table is not None
    assert table["x"] + table["width"] <= panel["x"] + panel["width"] + 1

    notebook.button("Copy as Python").click()
    expect(page.locator(".nemo-copy [role=status]").first).to_contain_text("copied")
    assigned = ast.parse(page.evaluate("navigator.clipboard.readText()")).body[0]
    assert isinstance(assigned, ast.Assign)
    assert sorted(ast.literal_eval(assigned.value).values()) == [2] * 35 + [6]

    notebook.ask(f"dashboard.select({middle}); print('elsewhere')")
    notebook.wait_for_text(f"study.config({middle})")
    notebook.ask(f"dashboard.select({narrow}); print('back')")
    expect(inspector.get_by_role("columnheader", name="draft")).to_be_visible()
    assert notebook.errors == []
