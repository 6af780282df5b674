"""Steps from claim to result, and the report that is made of them all."""

import json
import time
from collections.abc import Callable
from typing import Any

from app.database import Database
from app.jobs.evaluations import HUNDREDTHS, step_names, step_prefix, step_results
from app.jobs.leases import Claim
from app.jobs.tables import Job
from app.settings import Settings
from app.storage import Storage
from models.evaluation.html import to_html
from models.evaluation.report import build_report
from models.evaluation.results import StepResult
from models.evaluation.settings import EvaluationSettings, Network
from models.evaluation.steps import run_step
from worker.devices import choose_device
from worker.evaluation.data import EvaluationCache
from worker.evaluation.facts import environment_of, facts_of, summary_of
from worker.model_cache import Packages, SamplerCache

Report = Callable[[int, dict[str, Any] | None], None]
Result = dict[str, Any]  # see app.jobs.evaluations

VALUES = "values.json"


class Evaluator:
    """What a worker process holds from step to step."""

    def __init__(
        self,
        settings: Settings,
        db: Database,
        storage: Storage,
        packages: Packages,
        samplers: SamplerCache,
    ) -> None:
        self._settings = settings
        self._db = db
        self._storage = storage
        self._packages = packages
        self._data = EvaluationCache(db, storage, samplers)

    def take_step(self, claim: Claim, report: Report) -> Result:
        """Does the claim's step; returns its result.

        ``report`` gets the hundredths that are done, and the seconds that they took.

        Raises:
            Interrupted: the step is to be left without a result.
        """
        started = time.monotonic()
        data = self._data.get(claim, lambda: report(0, None))
        begun = time.monotonic()

        def tell(share: float) -> None:
            report(int(share * HUNDREDTHS), {"seconds": time.monotonic() - begun})

        name = step_names(claim.request)[claim.ordinal]
        found = run_step(name, data, settings_of(claim.request), tell)
        ended = time.monotonic()
        prefix = step_prefix(claim.job_id, claim.ordinal, claim.attempt)
        self._store(f"{prefix}{VALUES}", json.dumps(found.values, allow_nan=False).encode())
        for picture, png in found.pictures.items():
            self._store(prefix + picture, png)
        return {
            "seconds": time.monotonic() - started,
            "step_seconds": ended - begun,
            "values": f"{prefix}{VALUES}",
            "pictures": {picture: prefix + picture for picture in found.pictures},
            "environment": environment_of(choose_device(self._settings.device)),
        }

    def write_report(self, claim: Claim, report: Report) -> Result:
        """Makes report and page of what all steps have found; returns the result.

        Raises:
            Interrupted: they are to be left.
        """
        started = time.monotonic()
        self._data.drop()  # it was the evaluation's last step
        with self._db.read() as session:
            steps = step_results(session, claim.job_id)
            job = session.get_one(Job, claim.job_id)
            dataset = claim.request["dataset"]
            order = None if dataset is None else session.get_one(Job, dataset).request
        results = {}
        for name, step in steps.items():
            report(0, None)
            values = json.loads(self._storage.read(step["values"]))
            pictures = {
                picture: self._storage.read(key) for picture, key in step["pictures"].items()
            }
            results[name] = StepResult(values, pictures)
        package = None
        if claim.package_digest:
            package = self._packages.manifest(claim.request["model"], claim.package_digest)
        facts = facts_of(job, order, package)
        document = build_report(settings_of(claim.request), facts, results)
        pictures = {
            name: png for result in results.values() for name, png in result.pictures.items()
        }
        page = to_html(document, pictures)
        prefix = step_prefix(claim.job_id, claim.ordinal, claim.attempt)
        keys = {"report": f"{prefix}report.json", "page": f"{prefix}report.html"}
        self._store(keys["report"], json.dumps(document, allow_nan=False).encode())
        self._store(keys["page"], page.encode())
        summary = summary_of(document)
        return {**keys, "summary": summary, "seconds": time.monotonic() - started}

    def take_back(self, claim: Claim) -> None:
        """Remove all that this attempt has written: it does not count."""
        self._storage.delete_prefix(step_prefix(claim.job_id, claim.ordinal, claim.attempt))

    def _store(self, key: str, data: bytes) -> None:
        with self._storage.write(key) as file:
            file.write(data)


def settings_of(request: dict[str, Any]) -> EvaluationSettings:
    """The evaluation's settings, as the networks' room has them."""
    names = ("pairs", "seeds", "steps", "seed", "copy_overlap")
    network = Network(request.get("network", Network.U_NET))  # older orders have none
    return EvaluationSettings(**{name: request[name] for name in names}, network=network)
