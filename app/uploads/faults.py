"""What can be wrong with an upload: a code for programs and a sentence for people."""

from collections.abc import Iterator
from contextlib import contextmanager


class UploadFault(Exception):
    """The upload as a whole is refused; the sentence names the file, if it is one file's fault."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class FileFault(Exception):
    """One file is refused, and with it the map or pair that it belongs to; the others are used."""

    def __init__(self, code: str, detail: str, file: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.file = file


@contextmanager
def faults_of(file: str) -> Iterator[None]:
    """Gives faults that arise in the block, and name no file yet, this one."""
    try:
        yield
    except FileFault as fault:
        fault.file = fault.file or file
        raise
