"""Names of stored objects."""

from app.storage.errors import StorageKeyError

CHUNK = 1 << 20  # bytes
LINK_SECONDS = 3600  # for which an address of an object or part holds
MOST_PARTS = 10_000  # of one object, as S3 has it


def names_of(key: str) -> list[str]:
    """The names that a key joins by ``/``.

    Raises:
        StorageKeyError: no object can have this key. A leading dot is refused too: in a folder it
            marks the parts of unfinished objects.
    """
    names = key.split("/")
    if any(not name or name.startswith(".") or set(name) & {"\\", "\0"} for name in names):
        raise StorageKeyError(f"{key!r} is not a key: use names joined by '/'")
    return names


def check_prefix(prefix: str) -> str:
    """The prefix of keys, if it ends a name; ValueError otherwise."""
    if not prefix.endswith("/"):
        raise ValueError(f"the prefix {prefix!r} must end in '/'")
    return prefix


def nothing_stored(key: str) -> StorageKeyError:
    return StorageKeyError(f"nothing is stored as {key!r}")


def nothing_sent(key: str) -> StorageKeyError:
    return StorageKeyError(f"no parts are taken for {key!r}: it is whole, or was given up")
