"""What can go wrong with a storage."""


class StorageKeyError(LookupError):
    """There is no object with this key, or no object can have it."""


class StorageUnavailableError(OSError):
    """The storage did not do what was asked of it, for all retries.

    The message says what and why, to those who run the service; ``reason`` says it of "the file
    store" to users, who are not to see addresses.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
