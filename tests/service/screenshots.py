"""Takes the screenshots in ``docs``: ``python -m tests.service.screenshots http://127.0.0.1:8000``.

Each page of a running service, light and dark, at a desk and on a phone, with its newest data set,
upload, training run and evaluation. They should be of generated pictures only.
"""

import io
import shutil
import sys
from collections.abc import Iterator

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from app.settings import SOURCE_TREE

FOLDER = SOURCE_TREE / "docs" / "screenshots"
SCREENS = {"desk": {"width": 1180, "height": 800}, "phone": {"width": 390, "height": 800}}
SCHEMES = ("light", "dark")
COLOURS = 256  # of a palette, which keeps the files small
SETTLED = 1500  # milliseconds in which pictures come


def main(address: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    pages = dict(find_pages(address))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for scheme in SCHEMES:
            for screen in SCREENS:
                take(browser, address, pages, scheme, screen)
        browser.close()


def find_pages(address: str) -> Iterator[tuple[str, str]]:
    """Name and fragment of each page."""
    with httpx.Client(base_url=address, trust_env=False) as http:
        newest = {
            kind: http.get(f"/{kind}?status=succeeded").json()["data"][0]["id"]
            for kind in ("datasets", "uploads", "training-runs", "evaluations")
        }
        models = [model["id"] for model in http.get("/models").json()["data"]]
    yield "order", "order"
    yield "data-sets", "datasets"
    yield "data-set", f"datasets/{newest['datasets']}"
    yield "pair", f"datasets/{newest['datasets']}"
    yield "uploads", "uploads"
    yield "upload", f"uploads/{newest['uploads']}"
    yield "training", "training"
    yield "training-order", "training/new"
    yield "training-run", f"training/{newest['training-runs']}"
    yield "models", "models"
    yield "model", f"models/{models[0]}"
    yield "compare", f"models/compare?ids={','.join(models)}"
    yield "evaluations", "evaluations"
    yield "evaluation", f"evaluations/{newest['evaluations']}"
    yield "usage", "usage"


def take(browser: Browser, address: str, pages: dict[str, str], scheme: str, screen: str) -> None:
    context = browser.new_context(
        base_url=address,
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport=SCREENS[screen],  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    page = context.new_page()
    for name, fragment in pages.items():
        page.goto(f"/#/{fragment}")
        page.locator("h1").wait_for()
        if name == "pair":
            page.locator("[data-pair='3']").click()
        page.wait_for_timeout(SETTLED)
        if name == "evaluation":  # a frame that is out of view stays empty
            height = page.evaluate("document.documentElement.scrollHeight")
            page.set_viewport_size({"width": SCREENS[screen]["width"], "height": height})
            page.wait_for_timeout(SETTLED)
        save(page, f"{name}-{scheme}-{screen}.png", whole=name in ("training-run", "evaluation"))
        page.set_viewport_size(SCREENS[screen])  # type: ignore[arg-type]
    context.close()


def save(page: Page, name: str, whole: bool) -> None:
    with Image.open(io.BytesIO(page.screenshot(full_page=whole))) as picture:
        small = picture.convert("RGB").quantize(COLOURS, kmeans=1, dither=Image.Dither.NONE)
    small.save(FOLDER / name, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
