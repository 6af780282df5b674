"""The kinds of error the service answers with, as RFC 9457 problem types."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ProblemType:
    """One kind of error. Its documentation is served at its ``uri``, unless its status says all of it."""

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
    "Nothing was done. 'detail' says what could not be read: the body, which must be JSON in UTF-8, or the "
    "header 'Idempotency-Key', which must have 1 to 255 printable ASCII characters; a UUID is best.",
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
CONFLICT = ProblemType(
    "conflict",
    409,
    "The request conflicts with the current state",
    "Nothing was done; 'detail' says what the conflict is. An unfinished job needs what you delete: cancel "
    "the job, or wait until it ends. Models that came with the service cannot be deleted. A model's name and "
    "version are never used for another model, also after it was deleted: choose another version. A job that "
    "was ordered with an Idempotency-Key and deleted is not made again: use a new key.",
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
EXPIRED = ProblemType(
    "expired",
    410,
    "The data set, upload, training run or evaluation has expired",
    "Each is kept until its 'expires_at'; then its bytes are removed. The same order with the same "
    "seed makes a data set again.",
)
INVALID_REQUEST = ProblemType(
    "invalid-request",
    422,
    "The request is not valid",
    "Nothing was done. Each entry of 'errors' says what is wrong: in the body at the place that "
    "'pointer' (a JSON pointer) names, or in the query, path or header parameter 'parameter'. Of a part "
    "of an upload, 'expected' is the number of bytes that it must have. Of a model package, 'code' is a "
    "short word for what is wrong, 'file' the file in the zip, and 'field' its field; each is empty where "
    "the fault has none.",
)
LIMIT_EXCEEDED = ProblemType(
    "limit-exceeded",
    429,
    "The limit is reached",
    "Nothing was done. The owner of the API key has sent as many requests, or ordered as many pairs, as are "
    "allowed. 'limit' names the limit and 'allowed' is its number. 'used' is how many pairs count towards it, "
    "if it is a limit of pairs. Try again after 'Retry-After' seconds. Polling, listing and downloading are "
    "not limited.",
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
    "A part that the service needs cannot be reached ('checks', if given, names each part's state), or "
    "too many event streams are open: then look at the job itself, which says all that events say. Try "
    "again after 'Retry-After' seconds, if given.",
)

# These have a page each. A type is one thing that a client can do about it; `detail` says the rest.
PROBLEM_TYPES = (
    MALFORMED_REQUEST,
    UNAUTHENTICATED,
    INSUFFICIENT_SCOPE,
    NOT_FOUND,
    CONFLICT,
    NOT_READY,
    PARTS_MISSING,
    EXPIRED,
    INVALID_REQUEST,
    LIMIT_EXCEEDED,
    INTERNAL_ERROR,
    UNAVAILABLE,
)
# The status says all of these; titles are RFC 9110's.
METHOD_NOT_ALLOWED = ProblemType("", 405, "Method Not Allowed", "")
REQUEST_TIMEOUT = ProblemType("", 408, "Request Timeout", "")
TOO_LARGE = ProblemType("", 413, "Content Too Large", "")
UNSUPPORTED_MEDIA_TYPE = ProblemType("", 415, "Unsupported Media Type", "")
RANGE_NOT_SATISFIABLE = ProblemType("", 416, "Range Not Satisfiable", "")
UNTYPED = (
    METHOD_NOT_ALLOWED,
    REQUEST_TIMEOUT,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    RANGE_NOT_SATISFIABLE,
)
# Of several with one status, the first is the general one.
BY_STATUS = {kind.status: kind for kind in reversed(PROBLEM_TYPES + UNTYPED)}
