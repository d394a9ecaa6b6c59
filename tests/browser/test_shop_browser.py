"""Shop in a real JupyterLab: it is read, scrubbed and chosen from by keyboard alone, in the light and in the dark."""

import pytest
from drawn import SHOP

pytestmark = pytest.mark.browser

SLICE = "[...document.querySelectorAll('.dd-shop .dd-slice')].map((n) => n.textContent.slice(0, 10))"


def test_shop_is_chosen_from_and_scrubbed_with_the_keyboard_alone_and_nothing_is_cut_off(tab):
    page = tab.page
    tab.open(tab.lab.write("shop.ipynb", SHOP))
    tab.theme("JupyterLab Light")
    tab.run_all()
    box = page.locator(".dd-shop")
    box.locator(".dd-sentence", has_text="after leak in recommendations").wait_for()
    assert "~ model, not measured here" in box.inner_text()
    rows = box.locator(".dd-row")
    assert rows.count() == 3
    box.locator('.dd-row[aria-current="true"]').focus()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    box.locator(".dd-sentence", has_text="after crash in recommendations").wait_for()
    assert page.evaluate("document.activeElement.dataset.key") == "row 0"
    page.keyboard.press("Tab")  # the monolith
    page.keyboard.press("End")  # the last part of the services
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    box.locator(".dd-detail", has_text="recommendations of the services: since").wait_for()
    assert "dead" in box.locator(".dd-detail").inner_text()
    tab.shoot(".dd-shop", "shop-light")
    page.keyboard.press("Tab")
    page.keyboard.press("Home")  # the slider, at the beginning
    page.wait_for_function(f"() => {SLICE}.join() === '0.0 to 0.5,0.0 to 0.5'")
    assert box.locator('.dd-part[data-state="dead"]').count() == 0
    page.keyboard.press("End")
    page.wait_for_function(f"() => {SLICE}.join() === '3.5 to 4.0,3.5 to 4.0'")
    assert box.locator('.dd-part[data-state="dead"]').count() == 2
    assert box.evaluate("(node) => node.getAnimations({ subtree: true }).length") == 0  # nothing moves by itself
    tab.theme("JupyterLab Dark")
    tab.shoot(".dd-shop", "shop-dark")
    tab.command("application:toggle-left-area")
    page.set_viewport_size({"width": 520, "height": 900})
    page.wait_for_function("() => document.querySelector('.dd').clientWidth < 480")
    assert box.evaluate("(node) => node.scrollWidth <= node.clientWidth")
    tab.shoot(".dd-shop", "shop-narrow")
