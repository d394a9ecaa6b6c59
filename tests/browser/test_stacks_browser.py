"""Stacks in a real JupyterLab: it does its sums without the kernel, by keyboard alone, in the light and in the dark."""

import pytest
from drawn import STACKS

pytestmark = pytest.mark.browser

LAYERS = "[...document.querySelectorAll('.dd-stacks .dd-column:nth-child({}) .dd-times')].map((n) => n.textContent)"


def test_stacks_are_compared_with_the_keyboard_alone_and_nothing_is_cut_off(tab):
    page = tab.page
    tab.open(tab.lab.write("stacks.ipynb", STACKS))
    tab.theme("JupyterLab Light")
    tab.run_all()
    box = page.locator(".dd-stacks")
    box.locator(".dd-sentence", has_text="50 virtual machines (cited): 10.4GB of memory").wait_for()
    assert "<b>alpine</b>" in box.inner_text() and '" cited: measured for the course' in box.inner_text()
    assert page.evaluate(LAYERS.format(1)) == ["× 50", "× 1", "× 50", "× 50", "× 1", "× 1"]
    assert page.evaluate(LAYERS.format(2)) == ["× 50", "× 1", "× 1", "× 1", "× 1"]
    tab.shoot(".dd-stacks", "stacks-light")
    slider = box.get_by_label("How many apps")
    slider.focus()
    page.keyboard.press("Home")
    box.locator(
        ".dd-sentence", has_text="1 container (measured here): 1MB of memory, 8MB of disk, ready in 0.25 s"
    ).wait_for()
    page.keyboard.press("End")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")  # no longer all from the same image
    box.locator(".dd-sentence", has_text="50 containers (measured here): 50MB of memory, 400MB of disk").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")  # follow a write to a file
    box.locator(".dd-way", has_text="guest kernel → hypervisor → host kernel → hardware (2 kernels)").wait_for()
    assert box.locator('[data-path="true"]').count() == 10 and box.locator('[data-path="false"]').count() == 1
    page.keyboard.press("Tab")
    page.keyboard.type("8")  # GB, in the place of 16
    box.locator(".dd-sentence", has_text="8GB hold 38").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.type("another kernel")
    answers = box.locator(".dd-answer")
    answers.first.wait_for()
    assert answers.all_inner_texts() == ["✓ yes virtual machine", "✗ no container"]
    tab.shoot(".dd-stacks", "stacks-path-light")
    tab.theme("JupyterLab Dark")
    tab.shoot(".dd-stacks", "stacks-dark")
    tab.command("application:toggle-left-area")
    page.set_viewport_size({"width": 520, "height": 900})
    page.wait_for_function("() => document.querySelector('.dd').clientWidth < 480")
    assert box.evaluate("(node) => node.scrollWidth <= node.clientWidth")
    tab.shoot(".dd-stacks", "stacks-narrow")
