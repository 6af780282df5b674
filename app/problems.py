"""The kinds of error the service answers with, as RFC 9457 problem types."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ProblemType:
    """One kind of error. Its documentation is served at its ``uri``."""

    slug: str
    status: int
    title: str
    meaning: str

    @property
    def uri(self) -> str:
        return f"/problems/{self.slug}" if self.slug else "about:blank"


MALFORMED_REQUEST = ProblemType(
    "malformed-request",
    400,
    "The request could not be read",
    "The body is not valid JSON in UTF-8. Nothing was done. 'detail' says where reading stopped.",
)
IDEMPOTENCY_KEY_MALFORMED = ProblemType(
    "idempotency-key-malformed",
    400,
    "The Idempotency-Key cannot be used",
    "The header 'Idempotency-Key' must have 1 to 255 printable ASCII characters; a UUID is best. "
    "Nothing was done.",
)
UNAUTHENTICATED = ProblemType(
    "unauthenticated",
    401,
    "An API key is needed",
    "Send a key that is valid, as 'Authorization: Bearer fs_...'. Whoever runs the service makes "
    "keys with 'fundusmith keys create'.",
)
INSUFFICIENT_SCOPE = ProblemType(
    "insufficient-scope",
    403,
    "The API key is not made for this",
    "'scope' is what the key lacks. Scopes are given to a key when it is made.",
)
NOT_FOUND = ProblemType(
    "not-found",
    404,
    "There is nothing here",
    "No such data set, pair, upload, training run, evaluation, model or path exists, or it has been "
    "deleted, or it is another's.",
)
METHOD_NOT_ALLOWED = ProblemType(
    "method-not-allowed",
    405,
    "This path does not have this method",
    "The header 'Allow' names the methods that the path has.",
)
BODY_STALLED = ProblemType(
    "body-stalled",
    408,
    "The body did not go on",
    "Nothing of the upload has come for a while, and what had come is removed. Send it again.",
)
NOT_READY = ProblemType(
    "not-ready",
    409,
    "The job is not in a state that has this",
    "What was asked for is made while the job runs, or when it has succeeded; a job that failed or "
    "was cancelled will not have it. 'job_status' is what it is now.",
)
PARTS_MISSING = ProblemType(
    "parts-missing",
    409,
    "Parts of the upload are missing",
    "'missing' has the numbers of the first hundred parts that have not come, or not in full length. "
    "Send them, then complete the upload again. What has come is kept.",
)
IDEMPOTENCY_KEY_SPENT = ProblemType(
    "idempotency-key-spent",
    409,
    "What was ordered with this Idempotency-Key has been deleted",
    "A repeated order is answered with the job of the first; this one has been deleted. Use a "
    "new key to order it again. Keys are remembered for ever.",
)
IN_USE = ProblemType(
    "in-use",
    409,
    "It is in use",
    "An order, a training run or an evaluation that has not ended needs what was to be deleted. Cancel "
    "it first, or wait for its end. Nothing was deleted.",
)
VERSION_TAKEN = ProblemType(
    "version-taken",
    409,
    "There is another model of this name and version",
    "A version stands for one content for ever, also once it has been deleted. Nothing was imported. "
    "Give the package another version in its package.json.",
)
SHIPPED_MODEL = ProblemType(
    "shipped-model",
    409,
    "The model belongs to the service",
    "It came with the service and cannot be deleted; whoever runs the service can remove it.",
)
EXPIRED = ProblemType(
    "expired",
    410,
    "The data set, upload, training run or evaluation has expired",
    "Each is kept until its 'expires_at'; then its bytes are removed. The same order with the same "
    "seed makes a data set again.",
)
TOO_LARGE = ProblemType(
    "too-large",
    413,
    "The request is too large",
    "The body is longer than this path takes.",
)
UNSUPPORTED_MEDIA_TYPE = ProblemType(
    "unsupported-media-type",
    415,
    "The body has the wrong type",
    "Send JSON, with the header 'Content-Type: application/json'; as an upload or a model a zip, with "
    "'Content-Type: application/zip'.",
)
RANGE_NOT_SATISFIABLE = ProblemType(
    "range-not-satisfiable",
    416,
    "The range lies outside the file",
    "The header 'Content-Range' gives the file's length in bytes.",
)
INVALID_REQUEST = ProblemType(
    "invalid-request",
    422,
    "The request is not valid",
    "Nothing was done. Each entry of 'errors' says what is wrong: in the body at the place that "
    "'pointer' (a JSON pointer) names, or in the query or path parameter 'parameter'.",
)
PART_LENGTH = ProblemType(
    "part-length",
    422,
    "The part has another length",
    "'expected' is the number of bytes that this part of the upload must have. What was sent is not "
    "kept; the part may be sent again.",
)
BAD_PACKAGE = ProblemType(
    "bad-package",
    422,
    "The model package cannot be used",
    "Nothing was imported. 'code' is a short word for what is wrong, 'file' the file in the zip, and "
    "'field' its field; each is empty where the fault has none.",
)
IDEMPOTENCY_KEY_REUSED = ProblemType(
    "idempotency-key-reused",
    422,
    "Another order was placed with this Idempotency-Key",
    "A key stands for one order. Use a new one for another order. Nothing was done.",
)
RATE_LIMIT_EXCEEDED = ProblemType(
    "rate-limit-exceeded",
    429,
    "Too many requests",
    "The owner of the API key has used up what is allowed for a while. 'limit' names the limit, "
    "'allowed' is its number; 'Retry-After' says in how many seconds the request will be taken. "
    "Nothing was done. Watching, listing and downloading are not limited.",
)
QUOTA_EXCEEDED = ProblemType(
    "quota-exceeded",
    429,
    "The quota is used up",
    "The owner of the API key may not order so many pairs now. 'limit' names the limit, 'allowed' "
    "is its number, 'used' what is taken of it; 'Retry-After' is the number of seconds after which "
    "to try again. Nothing was ordered.",
)
INTERNAL_ERROR = ProblemType(
    "internal-error",
    500,
    "The service made a mistake",
    "The fault is the service's; its log says more. The same request may work later.",
)
UNAVAILABLE = ProblemType(
    "unavailable",
    503,
    "The service is not ready",
    "A part that the service needs cannot be reached. 'checks', if given, names each part's state.",
)
TOO_MANY_STREAMS = ProblemType(
    "too-many-streams",
    503,
    "Too many event streams are open",
    "Look at the data set itself instead: it says all that events say. Or try again after "
    "'Retry-After' seconds.",
)

PROBLEM_TYPES = (
    MALFORMED_REQUEST,
    IDEMPOTENCY_KEY_MALFORMED,
    UNAUTHENTICATED,
    INSUFFICIENT_SCOPE,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    BODY_STALLED,
    NOT_READY,
    PARTS_MISSING,
    IDEMPOTENCY_KEY_SPENT,
    VERSION_TAKEN,
    IN_USE,
    SHIPPED_MODEL,
    EXPIRED,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    RANGE_NOT_SATISFIABLE,
    INVALID_REQUEST,
    PART_LENGTH,
    BAD_PACKAGE,
    IDEMPOTENCY_KEY_REUSED,
    RATE_LIMIT_EXCEEDED,
    QUOTA_EXCEEDED,
    INTERNAL_ERROR,
    UNAVAILABLE,
    TOO_MANY_STREAMS,
)
# Of several with one status, the first is the general one.
BY_STATUS = {kind.status: kind for kind in reversed(PROBLEM_TYPES)}
