"""The command line against an API that listens on a real port, with somebody who works for it."""

import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner, Result

from app.client.steps import EvaluationOptions, OrderOptions
from app.command import COMMANDS, main
from app.commands.evaluate import evaluate as evaluate_command
from app.commands.order import order as order_command
from app.deps import Services
from app.jobs.leases import claim_next, complete
from app.jobs.tables import Role
from app.main import create_app
from app.settings import Settings
from tests.app.making import make_items, make_slice
from tests.app.packages import package_zip
from tests.app.serving import serve, working
from tests.zips import pairs

ROOT = Path(__file__).parents[2]
Run = Callable[..., Result]
LOCAL = ("up", "demo", "keys", "migrate")  # these need the service's own code

pytestmark = pytest.mark.parametrize("parts", ["embedded"], indirect=True)


@pytest.fixture
def here(settings: Settings) -> Iterator[tuple[str, Services]]:
    app = create_app(settings)
    with serve(app) as address:
        yield address, app.state.services


@pytest.fixture
def services(here: tuple[str, Services]) -> Services:
    return here[1]


@pytest.fixture
def run(here: tuple[str, Services], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``fundusmith ...`` against the API."""
    monkeypatch.setenv("FUNDUSMITH_SERVICE", here[0])
    return lambda *arguments: CliRunner().invoke(main, [str(each) for each in arguments])


@pytest.fixture
def told(run: Run) -> Callable[..., Any]:
    """Runs it with --json: what it prints, which has to be JSON and nothing else."""

    def tell(*arguments: Any) -> Any:
        result = run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return tell


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of pairs, one of them without its label."""
    folder = tmp_path / "own"
    for name, data in pairs(5).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "labels" / "4.png").unlink()
    return folder


def test_an_order_from_quote_to_deletion(
    run: Run, told: Callable[..., Any], services: Services, tmp_path: Path
) -> None:
    fields = ["6", "--resolution", "64", "--seed", "7", "--splits", "train=0.5,val=0.5"]
    quote = told("order", *fields, "--dry-run")
    assert (quote["request"]["seed"], told("status")["data"]) == (7, [])
    with working(services):
        made = told("order", *fields, "--eye", "right", "--download", tmp_path / "data")
    assert made["request"]["splits"] == {"train": 0.5, "val": 0.5, "test": 0.0}
    assert (made["status"], made["request"]["eye"]) == ("succeeded", "right")
    (path,) = made["files"]
    assert ZipFile(path).testzip() is None
    job = made["id"]
    assert told("download", job, "--to", tmp_path / "again.zip", "--unpack")["files"] == [
        str(tmp_path / "again.zip")
    ]
    assert (tmp_path / "again" / "manifest.json").exists()
    assert told("status", job) == told("cancel", job) == told("watch", job)
    assert [each["id"] for each in told("status", "--state", "succeeded")["data"]] == [job]
    for words in (("status",), ("status", job), ("watch", job)):
        assert job in run(*words).stdout
    assert told("usage")["pairs"] == 6
    assert told("delete", job) == {"id": job, "deleted": True}
    assert told("status")["data"] == []


def test_uploads_and_training(
    run: Run, told: Callable[..., Any], services: Services, own: Path, tmp_path: Path
) -> None:
    with working(services):
        result = run("upload", own)
        assert result.exit_code == 0
        for words in ("images/3.png", "images/4.png", "missing_partner"):
            assert words in result.stdout
        upload = told("status", re.findall(r"up_[\w-]+", result.stdout)[0])
        assert (upload["count"], len(upload["report"]["refused"])) == (4, 1)
        broken = tmp_path / "broken.zip"
        broken.write_bytes(b"no zip")
        result = run("upload", broken, "--json")
        assert (result.exit_code, json.loads(result.stdout)["status"]) == (1, "failed")
        about = tmp_path / "about.json"
        about.write_text('{"name": "Ours"}')
        settings = ["--set", "vessel.batch=16", "--set", "photo.width=0.5"]
        fields = ["--name", "mine", "--from", "eye", "--resolution", "64", "--about", about]
        ordered = told("train", own, *fields, "--images", "300", *settings, "--detach")
    assert ordered["request"]["settings"] == {"vessel": {"batch": 16}, "photo": {"width": 0.5}}
    assert ordered["request"]["data"]["name"] == "Ours"
    again = told("train", upload["id"], "--name", "mine", "--minutes", "2", "--detach")
    assert again["request"]["budget"]["minutes"] == 2
    told("cancel", again["id"])
    while claim := claim_next(services.db, "a test", Role.TRAIN.kinds):
        error = {"code": "diverged", "detail": "A loss is not finite."}
        assert complete(services.db, claim, make_slice(services, claim, error=error))
    failed = run("watch", ordered["id"])
    assert (failed.exit_code, "A loss is not finite." in failed.stderr) == (1, True)
    assert "of 300 images" in failed.stdout
    assert told("resume", ordered["id"], "--images", "500")["status"] == "queued"
    assert run("resume", upload["id"]).exit_code == run("cancel", upload["id"]).exit_code == 2


def test_an_evaluation(
    run: Run, told: Callable[..., Any], services: Services, own: Path, tmp_path: Path
) -> None:
    for name, data in pairs(9).items():
        (own / name).write_bytes(data)
    fields = [
        "--pairs",
        own,
        "--train",
        "4",
        "--seeds",
        "1",
        "--only",
        "real",
        "--only",
        "measures",
    ]
    with working(services):
        result = run("evaluate", "eye", *fields, "--out", tmp_path / "report")
    assert result.exit_code == 0, result.output
    for words in ("2 of 2 steps", "F1, real", "0.938", "report.html"):
        assert words in result.stdout
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == {"facts": {}}
    assert (tmp_path / "report" / "report.html").read_text() == "<h1>F1"
    first = re.findall(r"ev_[\w-]+", result.stdout)[0]
    assert "0.938" in run("watch", first).stdout
    upload = told("status", first)["request"]["upload"]
    names = ["--hold-out", "0.png,1.png,2.png,3.png", "--count", "20"]
    second = told("evaluate", "eye", "--pairs", upload, *names, "--detach")
    assert [pair["number"] for pair in second["request"]["train"]] == [4, 5, 6, 7, 8]
    assert (second["request"]["pairs"], told("cancel", second["id"])["status"]) == (20, "cancelled")
    assert {each["id"] for each in told("status")["data"]} == {first, second["id"], upload}
    assert told("delete", first)["deleted"]


def test_models(told: Callable[..., Any], run: Run, tmp_path: Path) -> None:
    (model,) = told("models", "list")["data"]
    assert told("models", "show", "eye") == told("models", "default", "eye") == model
    file = told("models", "export", "eye", "--to", tmp_path)["file"]
    assert ZipFile(file).testzip() is None
    with ZipFile(io.BytesIO(package_zip(version="2.0.0"))) as archive:
        archive.extractall(tmp_path / "eye")
    assert told("models", "import", tmp_path / "eye")["id"] == "eye@2.0.0"
    assert "eye@2.0.0" in run("models", "list").stdout
    compared = told("models", "compare", "eye@1.0.0", "eye@2.0.0")
    assert [each["id"] for each in compared["models"]] == ["eye@1.0.0", "eye@2.0.0"]
    assert run("models", "compare", "eye").exit_code == 2
    assert told("models", "delete", "eye@2.0.0")["deleted"]
    assert run("models", "delete", "eye").exit_code == 2
    assert run("models", "delete", "eye@1.0.0").exit_code == 1  # it is shipped


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["order", "0"], 1, ["count: "]),
        (["order", "2", "--deadline", "soon", "--seed", "-1"], 1, ["deadline: ", "seed: "]),
        (["order", "2", "--splits", "train=most"], 2, ["--splits", "NAME=NUMBER"]),
        (["status", "ds_never"], 1, ["ds_never"]),
        (["status", "never"], 2, ["ds_, up_, tr_, ev_"]),
        (["watch", "up_never"], 1, ["up_never"]),
        (["download", "ds_never"], 1, ["ds_never"]),
        (["train", "up_never", "--name", "a"], 2, ["--minutes or --images"]),
        (["train", "nowhere", "--name", "a", "--images", "9"], 2, ["nowhere"]),
        (["evaluate", "eye", "--pairs", "up_never"], 1, ["upload: "]),
        (["order", "2", "--not-like", "up_never=0.8"], 1, ["not_like/upload: "]),
        (["order", "2", "--lesions", "all"], 1, ["lesions: ", "draws no lesions"]),
        (["order", "2", "--masks", "disc,lesions"], 1, ["masks/0: ", "draws no optic disc"]),
        (["order", "2", "--masks", "vessels"], 1, ["masks/0: "]),
        (["upload", "nowhere"], 2, ["nowhere"]),
        (["usage", "--days", "0"], 1, ["days"]),
    ],
)
def test_what_is_refused_has_words_and_an_exit_code(
    run: Run, arguments: list[str], code: int, words: list[str]
) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    for word in words:
        assert word in result.stderr
    if code == 1:
        assert json.loads(run(*arguments, "--json").stdout)["status"] >= 400


def test_no_service(run: Run) -> None:
    result = run("status", "--service", "http://127.0.0.1:1", "--json")
    assert (result.exit_code, list(json.loads(result.stdout))) == (3, ["detail"])
    for word in ("127.0.0.1:1", "fundusmith up", "FUNDUSMITH_SERVICE"):
        assert word in result.stderr
    assert run("status", "--service", "localhost").exit_code == 3


def test_ctrl_c_stops_the_watching_only(
    here: tuple[str, Services], told: Callable[..., Any], services: Services
) -> None:
    job = told("order", "4")["id"]
    command = [sys.executable, "-m", "app.command", "watch", job, "--json", "--service", here[0]]
    # Where the tests run in the background, SIGINT is ignored, and children inherit that.
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as watching:
        assert watching.stdout and json.loads(watching.stdout.readline())["status"] == "queued"
        watching.send_signal(signal.SIGINT)
        _, words = watching.communicate(timeout=60)
    assert watching.returncode == 130
    assert f"fundusmith watch {job}" in words
    make_items(services)
    assert told("status", job)["status"] == "succeeded"


def test_the_shell_completes_commands_and_options(parts: object) -> None:
    shell = BashComplete(main, {}, "fundusmith", "_FUNDUSMITH_COMPLETE")
    assert "_FUNDUSMITH_COMPLETE=bash_complete" in shell.source()
    assert [found.value for found in shell.get_completions([], "ev")] == ["evaluate"]
    options = [found.value for found in shell.get_completions(["order"], "--s")]
    assert {"--seed", "--splits", "--service"} <= set(options)


def test_every_field_of_an_order_is_an_option(parts: object) -> None:
    options = {parameter.name for parameter in order_command.params}
    assert set(OrderOptions.__annotations__) <= options


def test_every_field_of_an_evaluation_is_an_option(parts: object) -> None:
    options = {parameter.name for parameter in evaluate_command.params}
    assert set(EvaluationOptions.__annotations__) - {"pairs"} <= options  # which is --count


def test_commands_that_call_a_service_load_none_of_it(parts: object) -> None:
    calling = sorted(set(COMMANDS.values()) - {f"app.commands.{n}" for n in LOCAL})
    heavy = ("sqlalchemy", "boto3", "celery", "fastapi", "pydantic", "torch", "PIL")
    code = (
        f"import sys, app.command, {', '.join(calling)}\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
