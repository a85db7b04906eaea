"""Picture of a web page in headless Chromium: python benchmarks/screenshot.py report.html report.png

Needs Playwright (pip install playwright) and Chromium. Prints the page's errors and network requests; a report has
neither.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, help="height of the picture; by default that of the page")
    parser.add_argument("--scale", type=float, default=1.0, help="pixels of the picture per pixel of the page")
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    found: list[str] = []
    with sync_playwright() as driver:
        # Chromium has no sandbox for the superuser, who runs most containers.
        arguments = ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=chromium, args=arguments)
        viewport = {"width": options.width, "height": options.height or 900}
        scheme = "dark" if options.dark else "light"
        page = browser.new_page(viewport=viewport, color_scheme=scheme, device_scale_factor=options.scale)
        page.on("console", lambda message: found.append(message.text))
        page.on("pageerror", lambda error: found.append(str(error)))
        page.on("request", lambda request: found.append(request.url) if request.url.startswith("http") else None)
        page.goto(options.page.absolute().as_uri())
        page.screenshot(path=options.out, full_page=options.height is None)
        if page.evaluate("document.documentElement.scrollWidth") > options.width:
            found.append("the page is wider than the window")
        browser.close()
    sys.exit("\n".join(found) or None)


if __name__ == "__main__":
    main()
