"""The pages opened and clicked in a real browser, where Chromium is installed: no error, and a picture of what was seen.

The page's own script runs under its own policy; what clicks is appended to a copy, whose policy allows it by its hash. The
pictures are kept in build/screens, or in the folder that JENSEN_SCREENS names.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import jensen

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")

CLICKS = """
(function () {
  var seen = {errors: []};
  window.addEventListener("error", function (e) { seen.errors.push(String(e.message)); });
  document.addEventListener("securitypolicyviolation", function (e) { seen.errors.push("refused " + e.blockedURI); });
  window.addEventListener("load", function () {
    var heads = document.querySelectorAll("table.sortable th button");
    seen.heads = heads.length;
    function first() { var t = document.querySelector("table.sortable tbody th, table.sortable tbody td"); return t ? t.textContent.trim() : ""; }
    seen.before = first();
    var order = [];
    heads.forEach(function (head) { head.click(); order.push(first()); head.click(); order.push(first()); });
    seen.firsts = order;
    seen.sorted = document.querySelectorAll("th[aria-sort]").length;
    var sheets = document.querySelectorAll("button.zoomable");
    seen.sheets = sheets.length;
    if (sheets.length) {
      sheets[0].click();
      var dialog = document.querySelector("dialog.zoom");
      seen.opened = dialog.open && dialog.querySelector("img").src.length > 100;
      dialog.click();
      seen.closed = !dialog.open;
    }
    document.querySelectorAll("details > summary").forEach(function (one) { one.click(); });
    seen.links = Array.from(document.querySelectorAll("nav a[href^='#']")).filter(function (a) {
      return !document.getElementById(a.getAttribute("href").slice(1));
    }).map(function (a) { return a.getAttribute("href"); });
    seen.unnamed = document.querySelectorAll("img:not([alt]), svg:not([aria-label]):not([aria-hidden]):not([role])").length;
    seen.wide = document.documentElement.scrollWidth > window.innerWidth + 1;
    var out = document.createElement("pre");
    out.id = "seen";
    out.textContent = JSON.stringify(seen);
    document.body.appendChild(out);
  });
})();
"""


def clicked(page: Path, width: int) -> dict:
    """What a browser of a width saw on the page and did with it."""
    text = page.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(CLICKS.encode()).digest()).decode()
    allowed, count = re.subn(r"script-src '", f"script-src 'sha256-{digest}' '", text, count=1)
    assert count == 1, "the page states no policy for scripts"
    copy = page.with_name(f"clicked-{page.name}")
    copy.write_text(allowed.replace("<head>", f"<head><script>{CLICKS}</script>", 1), encoding="utf-8")
    dom = chromium(f"--window-size={width},1200", "--virtual-time-budget=4000", "--dump-dom", copy.as_uri())
    found = re.search(r'<pre id="seen">(.*?)</pre>', dom, re.DOTALL)
    assert found, "the page's own script did not get as far as its load"
    return json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


def chromium(*options: str) -> str:
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def screen(page: Path, name: str) -> Path:
    folder = Path(os.environ.get("JENSEN_SCREENS", "build/screens"))
    folder.mkdir(parents=True, exist_ok=True)
    shot = (folder / f"{name}.png").resolve()
    chromium("--window-size=1200,3000", f"--screenshot={shot}", page.as_uri())
    return shot


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    plan = jensen.Plan(steps=10)
    result = jensen.compare(["independent", "made"], "digits", plan=plan, lens=None)
    return result.to_html(tmp_path_factory.mktemp("pages") / "digits.html")


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    plan = jensen.Plan(steps=10)
    result = jensen.compare(["independent", "made"], "diabetes", plan=plan, seeds=2)
    return result.to_html(tmp_path_factory.mktemp("pages") / "table.html")


@pytest.mark.parametrize("width", [1200, 500])
def test_a_page_of_images_is_sorted_and_enlarged_without_an_error(images: Path, width: int) -> None:
    seen = clicked(images, width)
    assert seen["errors"] == [] and seen["links"] == [] and seen["unnamed"] == 0
    assert seen["heads"] >= 5 and seen["sorted"] == 1
    assert len(set(seen["firsts"])) > 1  # sorting moves the rows
    assert seen["sheets"] >= 3 and seen["opened"] and seen["closed"]
    assert not seen["wide"]


def test_a_page_of_a_table_is_read_without_an_error_and_pictures_are_kept(table: Path, images: Path) -> None:
    seen = clicked(table, 1200)
    assert seen["errors"] == [] and seen["links"] == [] and seen["unnamed"] == 0 and not seen["wide"]
    for page, name in ((table, "compare-table"), (images, "compare-images")):
        assert screen(page, name).stat().st_size > 20_000
