"""What an S3 server refuses, in the words of this package."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from app.storage.errors import StorageUnavailableError
from app.storage.keys import nothing_stored

UNREACHABLE = "it cannot be reached"
# What users are told of an error code. Servers differ in their codes for one thing.
REASONS = {
    **dict.fromkeys(
        ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "403"),
        "it refuses the service's credentials",
    ),
    "NoSuchBucket": "its bucket is not there",
    **dict.fromkeys(
        ("InternalError", "ServiceUnavailable", "SlowDown", "500", "503"),
        "it is overloaded or out of order",
    ),
    **dict.fromkeys(
        ("InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "507"), "it is full"
    ),
}


class Refusal(StorageUnavailableError):
    """An answer that is an error, with its code."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message, REASONS.get(code, f"it answered {code}"))
        self.code = code

    def about(self, key: str) -> Exception:
        """What to raise of a call that needs the object."""
        missing = self.code in ("NoSuchKey", "404")
        return nothing_stored(key) if missing else Refusal(f"{key!r}: {self}", self.code)


def refused(operation: str, call: Callable[[], Any]) -> Any:
    """What the call answers; raises Refusal where that is an error."""
    try:
        return call()
    except ClientError as error:
        raise Refusal(str(error), str(error.response["Error"].get("Code"))) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        reason = "the service has no credentials for it"
        raise StorageUnavailableError(f"{operation}: {error}", reason) from error
    except BotoCoreError as error:
        raise StorageUnavailableError(f"{operation}: {error}", UNREACHABLE) from error
