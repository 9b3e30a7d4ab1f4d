"""The page in a real Chromium, which draws in software: run where Debian's is installed."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from published import make_map
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

import geoseg
from geoseg.steps.view import ViewOptions
from geoseg.steps.view.server import serve

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
DEMO = Path(__file__).parents[2] / "demo" / "map" / "report.html"
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--use-gl=angle",
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--hide-scrollbars", "--force-color-profile=srgb",
)  # fmt: skip
LAND, WATER = ((127, 166, 80), (43, 131, 186))
"""Colours of the two classes."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.skipif(
        not (CHROMIUM.is_file() and DRIVER.is_file()),
        reason="no Chromium here: make test-browser installs it",
    ),
]

type Open = Callable[..., "Seen"]


class Seen:
    """A page in the browser."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def wait(self) -> None:
        """Until the map is drawn."""
        script = "return document.documentElement.dataset.ready"
        WebDriverWait(self.driver, 60, 0.05).until(lambda d: d.execute_script(script) == "map")

    def settle(self) -> None:
        """Until nothing is drawn any more."""
        script = (
            "const done = arguments[0]; const both = [maps.above, maps.below];"
            "for (const map of both) map.triggerRepaint();"
            "const idle = (map) => new Promise((r) => map.once('idle', () => r()));"
            "Promise.all(both.map(idle)).then(() => done());"
        )
        self.driver.set_script_timeout(60)
        self.driver.execute_async_script(script)

    def script(self, text: str, *arguments: Any) -> Any:
        return self.driver.execute_script(text, *arguments)

    def find(self, name: str) -> Any:
        return self.driver.find_element(By.ID, name)

    def pixels(self) -> NDArray[np.uint8]:
        """What is seen of the map, (height, width, 3), once that stays as it is."""
        self.settle()
        before, now = None, self._shot()
        while before is None or not np.array_equal(before, now):
            before, now = now, self._shot()
        return now

    def _shot(self) -> NDArray[np.uint8]:
        frames = "const done = arguments[0];"
        frames += "requestAnimationFrame(() => requestAnimationFrame(() => done()));"
        self.driver.execute_async_script(frames)
        box = self.script(
            "const r = document.getElementById('stage').getBoundingClientRect();"
            "return [r.left + scrollX, r.top + scrollY, r.width, r.height]"
        )
        clip = dict(zip(("x", "y", "width", "height"), box, strict=True), scale=1)
        shot = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True}
        )
        image = Image.open(io.BytesIO(base64.b64decode(shot["data"])))
        return np.asarray(image.convert("RGB"))

    def share(self, colour: tuple[int, int, int]) -> float:
        """Share of the map's pixels that have a colour."""
        near = np.abs(self.pixels().astype(int) - colour).max(axis=2) <= 4
        return float(near.mean())

    def becomes(self, colour: tuple[int, int, int], share: float) -> None:
        """Until so much of the map has a colour: a picture of it is decoded on its own time."""
        waiting = WebDriverWait(self.driver, 30)
        waiting.until(lambda _: self.share(colour) == pytest.approx(share, rel=0.01))

    def slide(self, name: str, key: str, times: int = 1) -> None:
        self.find(name).send_keys(key * times)

    def errors(self) -> list[str]:
        """What the console has said that is an error, or that the policy has refused."""
        return [
            str(each["message"])
            for each in self.driver.get_log("browser")
            if each["level"] == "SEVERE" or "Content Security Policy" in each["message"]
        ]

    def requests(self) -> list[str]:
        """Addresses that were asked for, but for what the browser's own pages ask."""
        found = []
        for each in self.driver.get_log("performance"):
            message = json.loads(each["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                address = message["params"]["request"]["url"]
                if not address.startswith(("chrome:", "data:", "blob:")):
                    found.append(address)
        return found


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """One browser for all tests, with a home of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    home = tmp_path_factory.mktemp("chromium")
    for flag in (*FLAGS, f"--user-data-dir={home}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    environment = {**os.environ, "HOME": str(home), "SE_OFFLINE": "true"}
    service = webdriver.ChromeService(str(DRIVER), env=environment)
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture
def open_page(chromium: webdriver.Chrome) -> Open:
    def open_it(address: str, width: int = 1200, height: int = 800) -> Seen:
        chromium.get("about:blank")
        for kind in ("browser", "performance"):
            chromium.get_log(kind)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        chromium.get(address)
        return Seen(chromium)

    return open_it


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    land_map = make_map(tmp_path_factory.mktemp("made") / "area")
    geoseg.publish(land_map, options=geoseg.PublishOptions(title="Lakes & <woods>"))
    return land_map


@pytest.fixture
def seen(open_page: Open, made: Path) -> Seen:
    page = open_page((made / "report.html").as_uri())
    page.wait()
    return page


def alone(seen: Seen) -> None:
    """The map in full colours, without outlines and without the scene beside it."""
    seen.script(
        "for (const id of ['compare', 'outlines']) document.getElementById(id).click();"
        "maps.below.setLayoutProperty('scene', 'visibility', 'none');"
    )
    seen.slide("opacity", Keys.END)


class TestFromAFile:
    def test_it_opens_without_an_error_and_asks_nobody(self, seen: Seen, made: Path) -> None:
        seen.settle()
        assert seen.errors() == []
        assert seen.requests() == [(made / "report.html").as_uri()]
        assert seen.driver.title == "Lakes & <woods>"

    def test_its_policy_lets_nothing_be_asked(self, seen: Seen) -> None:
        script = (
            "const done = arguments[0];"
            "fetch('http://127.0.0.1:9/').then(() => done('answered'), () => done('refused'));"
        )
        assert seen.driver.execute_async_script(script) == "refused"
        assert any("Content Security Policy" in each for each in seen.errors())

    def test_polygons_are_drawn(self, seen: Seen) -> None:
        layers = "maps.above.queryRenderedFeatures({layers: ['outlines']})"
        assert seen.script(f"return new Set({layers}.map((each) => each.id)).size") == 3
        before = seen.pixels()
        seen.find("outlines").click()
        assert (before != seen.pixels()).any(axis=2).sum() > 300

    def test_classes_have_their_colours(self, seen: Seen) -> None:
        """9704 and 2200 of 11 904 px, as shares of what is drawn."""
        alone(seen)
        land, water = seen.share(LAND), seen.share(WATER)
        assert water / (land + water) == pytest.approx(2200 / 11_904, rel=0.02)

    def test_a_class_switched_off_disappears_and_comes_back(self, seen: Seen) -> None:
        alone(seen)
        land, water = seen.share(LAND), seen.share(WATER)
        box = seen.driver.find_element(By.CSS_SELECTOR, "#legend input[value='1']")
        box.send_keys(Keys.SPACE)
        seen.becomes(WATER, 0)
        seen.becomes(LAND, land)
        drawn = "maps.above.queryRenderedFeatures({layers: ['polygons']})"
        assert set(seen.script(f"return {drawn}.map((each) => each.properties.c)")) == {0}
        box.send_keys(Keys.SPACE)
        seen.becomes(WATER, water)
        seen.find("none").click()
        seen.becomes(WATER, 0)
        assert seen.share(LAND) == 0

    def test_a_polygon_says_what_it_is(self, seen: Seen) -> None:
        seen.find("compare").click()
        canvas = seen.driver.find_element(By.CSS_SELECTOR, "#above canvas")
        webdriver.ActionChains(seen.driver).move_to_element_with_offset(canvas, -90, 0).perform()
        WebDriverWait(seen.driver, 10).until(lambda _: seen.find("found").text)
        assert seen.find("found").text.startswith('water "deep" <1>\n1.38 ha · confidence ')


class TestByKeyboard:
    def test_opacity(self, seen: Seen) -> None:
        seen.find("compare").click()
        seen.slide("opacity", Keys.HOME)
        assert seen.find("opacity-value").text == "0 %"
        assert seen.script("return maps.above.getPaintProperty('classes', 'raster-opacity')") == 0
        seen.slide("opacity", Keys.ARROW_RIGHT, 3)
        assert seen.find("opacity-value").text == "15 %"

    def test_swipe(self, seen: Seen) -> None:
        """At either end there is the scene alone, which is grey, or the map alone."""
        for name in ("opacity", "swipe"):
            seen.slide(name, Keys.END)
        whole = seen.share(WATER)
        assert whole < 0.01
        seen.slide("swipe", Keys.HOME)
        assert seen.share(WATER) > 0.05
        seen.slide("swipe", Keys.ARROW_RIGHT, 10)
        assert seen.find("swipe").get_attribute("value") == "10"

    def test_every_control_is_reached_and_shows_that_it_is(self, seen: Seen) -> None:
        reached = []
        for _ in range(14):
            webdriver.ActionChains(seen.driver).send_keys(Keys.TAB).perform()
            active = seen.driver.switch_to.active_element
            reached.append(active.get_attribute("id") or active.get_attribute("class"))
            assert seen.script("return document.activeElement.matches(':focus-visible')")
        wanted = {"swipe", "every", "none", "opacity", "compare", "outlines", "home"}
        assert wanted <= set(reached)
        assert any("maplibregl-canvas" in name for name in reached)

    def test_the_map_names_what_lies_under_its_cross(self, seen: Seen) -> None:
        seen.find("compare").click()
        webdriver.ActionChains(seen.driver).send_keys(Keys.TAB).perform()
        seen.script("maps.above.getCanvas().focus({focusVisible: true})")
        seen.settle()
        assert seen.find("cross").is_displayed()
        assert seen.find("found").text.startswith("Wälder & fields"), "the island in the lake"
        webdriver.ActionChains(seen.driver).send_keys("+").perform()
        time.sleep(1)
        assert seen.script("return maps.above.getZoom()") > seen.script(
            "return maps.below.getZoom()") - 1e-9  # fmt: skip


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)], ids=["desktop", "phone"])
def test_nothing_is_wider_than_the_window(open_page: Open, made: Path, size: Any) -> None:
    seen = open_page((made / "report.html").as_uri(), *size)
    seen.wait()
    assert seen.script("return document.documentElement.scrollWidth") == size[0]


def test_it_is_printed_with_a_picture_of_the_map(seen: Seen) -> None:
    printed = seen.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(base64.b64decode(printed["data"])) > 20_000
    seen.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert seen.find("classes").is_displayed()
        assert seen.script("return document.getElementById('classes').naturalWidth") == 128
        assert not seen.find("above").is_displayed()
    finally:
        seen.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_without_webgl_the_pictures_stay(open_page: Open, made: Path, tmp_path: Path) -> None:
    """Scripts are named by their hash, so the page is changed before they run."""
    hidden = "HTMLCanvasElement.prototype.getContext = () => null"
    blank = open_page("about:blank")
    added = blank.driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": hidden}
    )
    try:
        seen = open_page((made / "report.html").as_uri())
        assert seen.script("return document.documentElement.dataset.ready") == "picture"
        assert seen.find("classes").is_displayed()
        box = seen.driver.find_element(By.CSS_SELECTOR, "#legend input[value='1']")
        before = seen.find("classes").get_attribute("src")
        box.click()
        assert seen.find("classes").get_attribute("src") != before
        assert seen.errors() == []
    finally:
        blank.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


class TestFromAServer:
    def test_it_opens_without_an_error_and_asks_nobody_else(
        self, open_page: Open, made: Path
    ) -> None:
        with serve(made, ViewOptions()) as server:
            seen = open_page(server.address)
            seen.wait()
            seen.settle()
            places = {urlsplit(each).netloc for each in seen.requests()}
            assert places == {urlsplit(server.address).netloc}
            assert seen.errors() == []

    def test_a_large_map_is_drawn_of_its_tiles(
        self, open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its picture has 48 x 64 px; its tiles have all 96 x 128, and the edges of the lake."""
        for module in ("page", "pictures", "finished_map"):
            monkeypatch.setattr(f"geoseg.report.{module}.MOST_PX", 64)
        large = make_map(tmp_path / "area")
        geoseg.publish(large, options=geoseg.PublishOptions(tiles=True))
        with serve(large, ViewOptions()) as server:
            seen = open_page(server.address)
            seen.wait()
            alone(seen)
            seen.settle()
            land, water = seen.share(LAND), seen.share(WATER)
            assert water / (land + water) == pytest.approx(2200 / 11_904, rel=0.02)
            assert any("/tiles/" in each for each in seen.requests())
            seen.driver.find_element(By.CSS_SELECTOR, "#legend input[value='1']").send_keys(
                Keys.SPACE
            )
            assert seen.share(WATER) == 0
            assert seen.share(LAND) == pytest.approx(land, rel=0.01)
            assert seen.errors() == []

    def test_a_run_grows_and_ends(self, open_page: Open, made: Path, tmp_path: Path) -> None:
        from live_runs import PARTS, land

        shutil.copytree(made.parent / "model", tmp_path / "model")
        folder = tmp_path / "map"
        folder.mkdir()
        (folder / ".lock").touch()
        with serve(folder, ViewOptions()) as server:
            seen = open_page(server.address)
            waiting = WebDriverWait(seen.driver, 30)
            waiting.until(lambda _: "0 parts" in seen.find("progress").text)
            land(folder, made, PARTS[:1])
            seen.wait()
            seen.slide("opacity", Keys.END)
            first = seen.share(LAND) + seen.share(WATER)
            assert first > 0.1
            land(folder, made, PARTS)
            waiting.until(lambda _: "3 parts" in seen.find("progress").text)
            waiting.until(lambda _: seen.script("return maps.above.getZoom()") > 0)
            assert seen.share(WATER) > 0
            for name in ("classes.tif", "confidence.tif", "classes.yaml", "run.json"):
                shutil.copy(made / name, folder)
            shutil.rmtree(folder / ".work-0123456789abcdef")
            waiting.until(lambda _: "9,704" in seen.driver.page_source)
            assert seen.errors() == []


@pytest.mark.skipif(not DEMO.is_file(), reason="there is no demo here: make demo")
def test_the_report_of_the_demo_is_small_and_opens(
    open_page: Open, record_property: Callable[[str, object], None]
) -> None:
    assert DEMO.stat().st_size < 6_000_000
    seen = open_page(DEMO.as_uri(), 1440, 900)
    seen.wait()
    timing = "const n = performance.getEntriesByType('navigation')[0]; return n.loadEventEnd"
    record_property("loaded_ms", seen.script(timing))
    assert seen.errors() == []
