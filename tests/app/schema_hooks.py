"""What schemathesis has to know of the service beyond the OpenAPI document (schemathesis.toml)."""

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import RejectedPositiveData

from app.problems import INVALID_REQUEST

# Where a request can be wrong though its schema is met, since JSON Schema cannot say what is right:
# which models there are now, which resolutions, lesions and masks the one has that the order names, that
# shares add up to 1, that a range is not upside down nor a limit missing, what time it is, which URLs are public,
# behind which data set a page can begin, which data set has several volumes, what is within a zip, which
# uploads can be trained on, which of their pairs there are, which data sets can be evaluated and how
# many pairs they have, that a budget is one of two kinds and never shrinks, that one bound is
# below another, which parts an upload has, and what was ordered with a key before.
BEYOND_THE_SCHEMA = {
    "Idempotency-Key",
    "#/model",
    "#/resolution",
    "#/splits",
    "#/vessel_share",
    "#/minimum_quality",
    "#/deadline",
    "#/maps",
    "#/webhook/url",
    "after",
    "volume",
    "#/upload",
    "#/from",
    "#/dataset",
    "#/not_like/upload",
    "#/lesions",
    "#/masks/0",
    "#/masks/1",
    "#/train",
    "#/hold_out",
    "#/pairs",
    "#/only",
    "#/budget",
    "#/settings/vessel",
    "with",
    "#/numbers",
}

schemathesis.serializer.alias("application/zip", "application/octet-stream")


@schemathesis.hook
def filter_failure(
    context: schemathesis.HookContext,
    failure: Failure,
    case: schemathesis.Case,
    response: schemathesis.Response,
) -> bool:
    """Whether it is a failure: not where a request was rejected for what no schema can say."""
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 422:
        return True
    problem = response.json()
    if problem.keys() & {"expected", "file"}:  # the length of a part, or what is in a package
        return False
    assert problem["type"] == INVALID_REQUEST.uri
    places = {error.get("pointer", error.get("parameter")) for error in problem["errors"]}
    return not places <= BEYOND_THE_SCHEMA
