"""A model package as one zip: unpacking what anyone may have made, and packing.

A zip is unpacked with distrust: as an uploaded zip is read (see :mod:`app.uploads.archive`), only
the files that package.json lists, each with the length and digest that it gives. Packed packages are the
same bytes each time: their entries are stored, in the order of their names.
"""

import hashlib
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from app.archive.records import central_record, end_records
from app.archive.segment import SegmentWriter
from app.registry.manifest import MANIFEST, PackageFault, read_manifest
from app.registry.schemas import PackagedFile, PackageManifest, Sampling
from app.registry.weights import check_weights
from app.uploads.archive import StoredFile, UploadedZip
from app.uploads.faults import FileFault, UploadFault, faults_of

LARGEST_MANIFEST = 256 << 10  # bytes, as are the others; it is read whenever the model is asked for
LARGEST_OTHER = 16 << 20  # of a file that is not weights
LARGEST_TOTAL = 2 << 30
WEIGHTS = ".safetensors"
OTHERS = (".md", ".txt", ".json", ".csv", ".png", ".jpg")

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class Network(BaseModel):
    config: dict[str, Any]


# That a package of the first format must have.
NETWORKS_OF_FIRST_FORMAT = ("vessel", "translator")


class WholeManifest(PackageManifest):
    """package.json with what the networks need, as far as can be told without them."""

    networks: dict[str, Network] = Field(min_length=1)
    sampling: Sampling
    files: dict[FileName, PackagedFile]


def open_zip(file: IO[bytes] | StoredFile) -> UploadedZip:
    """The zip of a package.

    Raises:
        UploadFault: it is no zip, or one that is not to be trusted.
    """
    return UploadedZip(file, largest_file=LARGEST_TOTAL, largest_total=LARGEST_TOTAL)


def unpack(file: IO[bytes] | StoredFile, folder: Path) -> tuple[WholeManifest, bytes]:
    """Check the zip and write the package's files into an empty folder; its manifest and its bytes.

    Raises:
        PackageFault: it is not a package to be used. What was unpacked by then is left behind.
    """
    try:
        archive = open_zip(file)
        manifest, data = _read_manifest(archive)
        _check_names(archive, manifest)
        for name, listed in manifest.files.items():
            with faults_of(name):
                _unpack_file(archive, name, listed, folder / name)
        (folder / MANIFEST).write_bytes(data)
        return manifest, data
    except UploadFault as fault:
        raise PackageFault(fault.code, fault.detail) from fault
    except FileFault as fault:
        raise PackageFault(fault.code, fault.detail, fault.file) from fault


def write_zip(folder: Path, file: IO[bytes]) -> int:
    """Write the package in the folder as a zip; returns its length in bytes.

    Raises:
        PackageFault: its package.json is not one, or a file is not the one that it lists.
    """
    manifest = read_manifest((folder / MANIFEST).read_bytes(), PackageManifest)
    names = [*manifest.files, MANIFEST]
    segment, directory = SegmentWriter(file), b""
    for name in sorted(names):
        with (folder / name).open("rb") as source:
            entry = segment.add_file(name, source)
        if name != MANIFEST and entry.sha256 != manifest.files[name].sha256:
            raise _wrong_digest(name)
        directory += central_record(entry.name, entry.crc32, entry.size, entry.offset)
    end = end_records(len(names), segment.size, len(directory))
    file.write(directory + end)
    return segment.size + len(directory) + len(end)


def _read_manifest(archive: UploadedZip) -> tuple[WholeManifest, bytes]:
    if MANIFEST not in archive.files:
        inside = next((name for name in archive.files if name.endswith(f"/{MANIFEST}")), "")
        hint = f"; it lies in {PurePosixPath(inside).parent}/" if inside else ""
        raise PackageFault("missing_file", f"must be at the top of the zip{hint}", MANIFEST)
    if archive.size(MANIFEST) > LARGEST_MANIFEST:
        raise PackageFault("file_too_large", f"may have {LARGEST_MANIFEST} bytes", MANIFEST)
    with faults_of(MANIFEST):
        data = archive.read(MANIFEST)
    return read_manifest(data, WholeManifest), data


def _check_names(archive: UploadedZip, manifest: WholeManifest) -> None:
    for name in manifest.files:
        if name == MANIFEST or not name.lower().endswith((WEIGHTS, *OTHERS)):
            kinds = ", ".join((WEIGHTS, *OTHERS))
            raise PackageFault(
                "wrong_field", f"{name}: a package holds files {kinds}", MANIFEST, "files"
            )
        if name not in archive.files:
            raise PackageFault("missing_file", f"{MANIFEST} lists it, the zip lacks it", name)
    first_format = manifest.format == "fundusmith-model/1"
    for name in NETWORKS_OF_FIRST_FORMAT if first_format else ():
        if name not in manifest.networks:
            raise PackageFault("wrong_field", "Field required", MANIFEST, f"networks.{name}")
        if f"{name}{WEIGHTS}" not in manifest.files:
            raise PackageFault("wrong_field", f"must list {name}{WEIGHTS}", MANIFEST, "files")
    if not any(name.endswith(WEIGHTS) for name in manifest.files):
        raise PackageFault("wrong_field", f"must list weights, {WEIGHTS}", MANIFEST, "files")
    for name in archive.files:
        if name != MANIFEST and name not in manifest.files:
            raise PackageFault("unlisted_file", f"{MANIFEST} does not list it", name)


def _unpack_file(archive: UploadedZip, name: str, listed: PackagedFile, target: Path) -> None:
    size, is_weights = archive.size(name), name.lower().endswith(WEIGHTS)
    if size != listed.bytes:
        raise PackageFault("wrong_size", f"has {size} bytes, {MANIFEST} says {listed.bytes}", name)
    if size > LARGEST_OTHER and not is_weights:
        raise PackageFault("file_too_large", f"may have {LARGEST_OTHER} bytes", name)
    digest = hashlib.sha256()
    with target.open("xb") as file:
        if is_weights:
            check_weights(archive.pieces(name), size)
        for piece in archive.pieces(name):
            digest.update(piece)
            file.write(piece)
    if digest.hexdigest() != listed.sha256:
        raise _wrong_digest(name)


def _wrong_digest(name: str) -> PackageFault:
    return PackageFault("wrong_digest", f"its SHA-256 is not the one in {MANIFEST}", name)
