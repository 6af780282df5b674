"""The pairs of an upload, as training takes them."""

from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from app.storage import Storage
from app.uploads.pictures import read_picture, read_record
from models.pairs import PairFiles, PairSet, load_pairs


class PairCache:
    """Holds the pairs used last: slices of one run come one after another."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._key: tuple[str, int] | None = None
        self._pairs: PairSet | None = None

    def get(self, upload_id: str, count: int, size: int) -> PairSet:
        """All ``count`` pairs of the upload at ``size`` pixels, named as in the uploaded zip.

        Raises:
            NoSuchPicture: the upload has not so many pairs.
            PairError: one cannot be used.
        """
        key = (upload_id, size)
        if self._pairs is None or self._key != key:
            self._pairs = None  # frees its memory before the next one takes its own
            self._pairs = load_upload(self._storage, upload_id, count, size)
            self._key = key
        return self._pairs


def load_upload(storage: Storage, upload_id: str, count: int, size: int) -> PairSet:
    """As :meth:`PairCache.get`, and nothing is kept."""
    with TemporaryDirectory(prefix="fundusmith-") as folder:
        files, names = [], []
        for number in range(count):
            record = read_record(storage, upload_id, number)
            names.append(PurePosixPath(record.file).name)
            photo, label, mask = (
                Path(folder, f"{number:06d}-{which}.png") for which in ("image", "label", "mask")
            )
            photo.write_bytes(read_picture(storage, upload_id, number, "image"))
            label.write_bytes(read_picture(storage, upload_id, number, "label"))
            if record.mask is not None:
                mask.write_bytes(read_picture(storage, upload_id, number, "mask"))
            files.append(PairFiles(photo, label, mask if record.mask is not None else None))
        return replace(load_pairs(files, size), names=tuple(names))
