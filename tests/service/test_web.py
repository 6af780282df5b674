"""The web page in a real browser, before the whole service."""

import hashlib
import io
import json
import os
import shutil
import signal
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from app.access.service import create_key
from app.access.tables import Scope
from app.deps import Services
from app.main import create_app
from app.settings import Access, Settings
from tests.app.serving import serve
from tests.service.running import RunningService, children
from tests.waiting import wait_until
from tests.worker.runs import TINY
from tests.zips import pack, pairs, photograph, picture

CHROMIUM = shutil.which("chromium")
PAIRS = 8
PATIENCE = 60_000  # milliseconds: for what real processes do
PAGES = (
    "order",
    "datasets",
    "uploads",
    "training",
    "training/new",
    "models",
    "evaluations",
    "evaluations/new",
    "usage",
    "nowhere",
)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium: as root, `make browser` installs Debian's"
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("service")
    with RunningService(folder, models_dir, shard_pairs=2, slice_seconds=5) as service:
        yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        # Without a sandbox, since root has none.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def visit(browser: Browser, address: str, expected: int = 0, **options: object) -> Iterator[Page]:
    """The page. It must call no address but the service's, and have no more errors than expected."""
    context = browser.new_context(base_url=address, reduced_motion="reduce", **options)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    outside, errors = [], []
    page.on("request", lambda request: outside.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda told: errors.append(told.text) if told.type == "error" else None)
    yield page
    assert [url for url in outside if not url.startswith((address, f"blob:{address}"))] == []
    assert len(errors) == expected, errors
    context.close()


def test_an_order_from_the_form_to_the_zip(service: RunningService, browser: Browser) -> None:
    worker = service.pid("worker")
    processes = (worker, *children(worker))
    with visit(browser, service.address) as page:
        page.goto("/")
        page.get_by_label("Number of pairs").fill(str(PAIRS))
        page.get_by_label("Seed", exact=True).fill("7")
        expect(page.locator(".quote")).to_contain_text("Working time")
        for process in processes:  # so that the order is seen while it waits
            os.kill(process, signal.SIGSTOP)
        try:
            page.get_by_role("button", name=f"Order {PAIRS} pairs").click()
            expect(page.locator(".made")).to_have_text(f"0 of {PAIRS} pairs")
            expect(page.locator(".tile.waiting")).to_have_count(PAIRS)
            expect(page.locator(".status")).to_have_text("Queued")
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)
        wait_for_pictures(page, 2 * PAIRS)
        expect(page.locator(".made")).to_have_text(f"{PAIRS} of {PAIRS} pairs")
        expect(page.locator(".status")).to_have_text("Succeeded")

        page.locator("[data-pair='3']").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_have_accessible_name("Pair 3")
        overlay = dialog.locator(".overlay")
        dialog.get_by_label("Label over photograph").fill("25")
        expect(overlay).to_have_css("opacity", "0.25")
        assert "/pairs/3/label" in overlay.evaluate("element => element.style.maskImage")
        page.keyboard.press("PageDown")
        expect(dialog).to_have_accessible_name("Pair 4")
        with page.expect_download() as label:
            dialog.get_by_role("link", name="Label").click()
        page.keyboard.press("Escape")
        expect(page.locator("[data-pair='4']")).to_be_focused()

        with page.expect_download() as archive:
            page.get_by_role("link", name="Download").click()
        home = page.url.rpartition("#")[2]
        check_archive(archive.value.path(), label.value.path(), f"{service.address}{home}/download")
        page.get_by_role("link", name="Order again").click()
        expect(page.get_by_label("Seed", exact=True)).to_have_value("7")


def wait_for_pictures(page: Page, count: int) -> None:
    """Returns once so many pictures of the gallery are really drawn."""
    drawn = (
        "[...document.querySelectorAll('.gallery img')].filter(image => image.naturalWidth === 64)"
    )
    wait_until(lambda: page.evaluate(f"{drawn}.length") == count)


def check_archive(path: Path, label: Path, address: str) -> None:
    """What the browser has saved is what the service sends, and what its manifest says."""
    data = path.read_bytes()
    response = httpx.get(address, trust_env=False)
    assert hashlib.sha256(data).digest() == hashlib.sha256(response.content).digest()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        manifest = hashlib.sha256(archive.read("manifest.json")).hexdigest()
        assert f'"{manifest}"' == response.headers["etag"]
        assert json.loads(archive.read("manifest.json"))["order"]["seed"] == 7
        assert archive.read("train/labels/000004.png") == label.read_bytes()


def test_from_an_upload_to_a_model(
    service: RunningService, browser: Browser, tmp_path: Path
) -> None:
    zip_file = tmp_path / "mine.zip"
    zip_file.write_bytes(
        pack({**pairs(8), "images/alone.png": picture(photograph(9)), "notes.txt": b"-"})
    )
    with visit(browser, service.address) as page:
        page.goto("/#/uploads")
        page.get_by_label("Choose a zip").set_input_files(zip_file)
        expect(page.locator("h1")).to_have_text("Pairs")
        wait_for_pictures(page, 24)  # photograph, label and field of view of each pair
        expect(page.get_by_role("row", name="images/alone.png")).to_contain_text(
            "no label has its name"
        )

        page.get_by_role("link", name="Train on these pairs").click()
        page.get_by_label("Name of the model").fill("learned")
        page.get_by_label("64 px").check()
        page.get_by_label("Start from").select_option("")
        page.get_by_label("Budget", exact=True).fill("16")
        page.get_by_label("images", exact=True).check()
        for number, stage in enumerate(TINY.values()):
            page.locator("summary").nth(1 + number).click()
            fields = page.locator("details").nth(1 + number)
            for name, value in stage.items():
                fields.get_by_label(name.capitalize(), exact=True).fill(str(value))
        page.get_by_role("button", name="Start training").click()

        expect(page.locator("h1")).to_have_text("learned")
        expect(page.locator(".status")).to_have_text("Succeeded")
        page.get_by_role("radio", name="Stage two").check()
        expect(page.locator(".chart:visible h3").first).to_have_text("Losses")
        expect(
            page.locator(".chart:visible").first.locator(".plot :is(path, circle)")
        ).to_have_count(2)
        expect(page.locator(".sheet:visible img")).to_be_visible()
        page.get_by_role("link", name="Order pairs from it").click()
        expect(page.get_by_label("Model")).to_have_value("learned@1.0.0")

        page.goto("/#/models/tiny-64@0.0.1")
        page.locator("main").get_by_role("link", name="Evaluations").click()
        page.get_by_role("link", name="Evaluate it").click()
        expect(page.get_by_label("Model or data set")).to_have_value("tiny-64@0.0.1")
        page.get_by_label("Generated pairs", exact=True).fill("16")
        for part in page.get_by_role("checkbox").all()[1:]:
            part.uncheck()
        page.get_by_label("Train on", exact=True).fill("4")
        page.get_by_role("button", name="Start evaluation").click()
        expect(page.locator(".status")).to_have_text("Succeeded")
        expect(page.get_by_text("1 of 1 step")).to_be_visible()
        expect(page.locator(".facts").first).to_contain_text("of 16")
        report = page.frame_locator("iframe.report")
        expect(report.get_by_role("heading", name="Evaluation of")).to_be_visible()
        assert report.locator("img").first.evaluate("image => image.naturalWidth > 0")


def test_a_large_zip_goes_by_parts_and_on_after_a_break(
    service: RunningService, browser: Browser, tmp_path: Path
) -> None:
    large = tmp_path / "large.zip"
    with zipfile.ZipFile(large, "w") as archive:
        for name, data in pairs(2).items():
            archive.writestr(name, data)
        archive.writestr("notes.bin", bytes(33 << 20))  # so that there are five parts of 8 MiB
    sent: list[str] = []

    with visit(browser, service.address, expected=1) as page:  # the browser reports the failure
        page.on(
            "request",
            lambda call: sent.append(call.url[-1]) if "/parts/" in call.url else None,
        )
        page.route("**/parts/2", lambda route: route.abort(), times=1)
        page.route("**/parts/5", lambda route: None)  # never answered
        page.goto("/#/uploads")
        with page.expect_request("**/parts/5"):
            page.get_by_label("Choose a zip").set_input_files(large)
        (upload,) = service.client.uploads.list(limit=1)

        def received() -> int:
            page.wait_for_timeout(50)  # in which Playwright lets the others go on
            return service.client.uploads.get(upload["id"])["parts"]["received"]

        wait_until(lambda: received() == 4)
        assert sorted(sent) == ["1", "2", "2", "3", "4", "5"]
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("alert")).to_contain_text("choose the same zip again to go on")

        page.unroute("**/parts/5")
        page.reload()
        page.get_by_role("link", name="Zip of pairs").first.click()
        expect(page.locator("main")).to_contain_text("4 of 5 parts have come")
        page.get_by_role("link", name="Uploads").first.click()
        page.get_by_label("Choose a zip").set_input_files(large)
        expect(page.locator("h1")).to_have_text("Pairs")
        wait_for_pictures(page, 6)
        assert page.url.endswith(upload["id"])
        assert sent[6:] == ["5"]


def test_what_is_wrong_is_said_at_the_field(service: RunningService, browser: Browser) -> None:
    with visit(browser, service.address, expected=1) as page:  # the browser reports the 422
        page.goto("/#/order")
        page.get_by_text("More options").click()
        with page.expect_response(lambda answer: answer.status == 422):
            page.get_by_label("at least").fill("3")
        wrong = page.locator(".field.wrong", has=page.get_by_label("at least")).last
        expect(wrong.locator(".error")).to_contain_text("less than or equal to 1")
        page.get_by_label("at least").fill("")
        expect(page.locator(".field.wrong")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_page_fits_a_phone(service: RunningService, browser: Browser, scheme: str) -> None:
    phone = {"width": 360, "height": 640}
    with visit(browser, service.address, viewport=phone, color_scheme=scheme) as page:
        for name in PAGES:
            page.goto(f"/#/{name}")
            page.locator("h1, .empty").first.wait_for()
            expect(page.locator(".bone")).to_have_count(0)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


def test_the_reference_calls_no_address_outside(service: RunningService, browser: Browser) -> None:
    with visit(browser, service.address) as page:
        page.goto("/docs")
        expect(page.get_by_text("Order a data set")).to_be_visible()


def test_a_key_is_asked_for_where_the_service_wants_one(
    browser: Browser, models_dir: Path, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path, models_dir=models_dir, access=Access.REQUIRED)
    app = create_app(settings)
    # Two requests are refused for want of a key, and the browser reports each.
    with serve(app) as address, visit(browser, address, expected=2) as page:
        services: Services = app.state.services
        key = create_key(services.db, "a test", "alice", [Scope.READ, Scope.WRITE])
        page.goto("/#/order")
        page.get_by_role("textbox", name="API key").fill(key)
        page.get_by_role("button", name="Use this key").click()
        page.get_by_role("button", name="Order 100 pairs").click()
        expect(page.locator(".status")).to_have_text("Queued")
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Cancel the order").click()
        expect(page.locator(".status")).to_have_text("Cancelled")  # which an event has told
