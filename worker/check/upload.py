"""The check itself: reads an uploaded zip file by file, keeps what is good, tells what is wrong."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

from app.jobs.leases import Claim
from app.storage import Storage
from app.uploads.archive import ARCHIVES, StoredFile, UploadedZip
from app.uploads.faults import FileFault, UploadFault
from app.uploads.pictures import PictureWriter, report_key, segment_key, zip_key
from app.uploads.schemas import IgnoredFile, RefusedFile, Report, UsedPicture
from models.layouts import UNUSED, is_picture, recognise_maps, recognise_pairs
from worker.check.group import Group, Normalised, normalise

EXPECTED = {
    "maps": "the zip should hold label maps as PNG, TIFF, GIF, PPM or JPEG pictures, in any folders",
    "pairs": "the zip should hold images/ and labels/ with the same names, or be laid out as DRIVE, "
    "CHASE_DB1, HRF or STARE",
}


def check_upload(claim: Claim, storage: Storage, report: Callable[[int], None]) -> dict[str, Any]:
    """Checks the upload of a claim; returns the result of the item.

    ``report`` gets the number of maps or pairs looked at, and may raise to stop the work.
    """
    contents = claim.request["kind"]
    found = Report(used=[], refused=[], ignored=[])
    index_sha256 = error = None
    try:
        _check_digest(claim, storage, report)
        archive = UploadedZip(StoredFile(storage, zip_key(claim.job_id)))
        with storage.write(segment_key(claim.job_id)) as segment:
            writer = PictureWriter(segment)
            keeper = _Keeper(archive, writer, found)
            for done, group in enumerate(_sort(archive, contents, found)):
                report(done)
                keeper.take(group)
        if not found.used:
            raise UploadFault("nothing_usable", _why_nothing(contents, found))
        index_sha256 = writer.finish(storage, claim.job_id)
    except UploadFault as fault:
        error = {"code": fault.code, "detail": fault.detail}
        storage.delete(segment_key(claim.job_id))
    with storage.write(report_key(claim.job_id)) as file:
        file.write(found.model_dump_json().encode())
    return {"count": len(found.used), "index_sha256": index_sha256, "error": error}


def _check_digest(claim: Claim, storage: Storage, report: Callable[[int], None]) -> None:
    """Raises the fault of a zip that is not the one whose SHA-256 was announced, if one was."""
    wanted = claim.request.get("sha256")
    if wanted is None:
        return
    digest = sha256()
    for piece in storage.stream(zip_key(claim.job_id)):
        report(0)
        digest.update(piece)
    if digest.hexdigest() != wanted:
        raise UploadFault(
            "digest_mismatch",
            f"What was sent has the SHA-256 {digest.hexdigest()}, not {wanted}: send it again.",
        )


def _sort(archive: UploadedZip, contents: str, found: Report) -> list[Group]:
    """The maps or pairs in the zip, going by names; what belongs to none is told."""
    names = list(_pictures(archive, found))

    def refuse(file: str, code: str, detail: str) -> None:
        found.refused.append(RefusedFile(file=file, code=code, detail=detail))

    if contents == "maps":
        maps, alone = recognise_maps(names)
        for name in alone:
            refuse(name, "missing_partner", "a mask, but no label map has its name")
        return [Group(each.label, each.mask) for each in maps]
    pairs = recognise_pairs(names)
    for name in pairs.photos_alone:
        refuse(name, "missing_partner", "a photograph, but no label has its name")
    for name, role in pairs.alone:
        refuse(name, "missing_partner", f"a {role.value}, but no photograph has its name")
    for name, role in pairs.spare:
        reason = f"{role.value}; {'not used' if role in UNUSED else 'the first one is used'}"
        found.ignored.append(IgnoredFile(file=name, reason=reason))
    return [Group(each.label, each.mask, each.photo) for each in pairs.pairs]


def _pictures(archive: UploadedZip, found: Report) -> Iterator[str]:
    for name in archive.files:
        path = PurePosixPath(name)
        if path.parts[0] == "__MACOSX" or path.name.startswith("."):
            found.ignored.append(IgnoredFile(file=name, reason="left by an operating system"))
        elif path.suffix.lower() in ARCHIVES:
            found.refused.append(
                RefusedFile(
                    file=name,
                    code="nested_archive",
                    detail="an archive within the zip; put its files into the zip itself",
                )
            )
        elif is_picture(name):
            yield name
        else:
            found.ignored.append(IgnoredFile(file=name, reason="not a picture"))


def _why_nothing(contents: str, found: Report) -> str:
    if not found.refused:
        return f"There are no {contents} in it: {EXPECTED[contents]}."
    first = found.refused[0]
    return (
        f"None of its {contents} can be used; {EXPECTED[contents]}. The first fault: "
        f"{first.file}: {first.detail}."
    )


class _Keeper:
    """Keeps what is good of the groups that it is given, one after another."""

    def __init__(self, archive: UploadedZip, writer: PictureWriter, found: Report) -> None:
        self._archive, self._writer, self._found = archive, writer, found
        self._kept: dict[bytes, str] = {}  # SHA-256 of a photograph or label: its file

    def take(self, group: Group) -> None:
        try:
            pictures = normalise(group, self._archive.read)
            self._refuse_again(group, pictures)
        except FileFault as fault:
            self._found.refused.append(
                RefusedFile(file=fault.file, code=fault.code, detail=fault.detail)
            )
            return
        record = self._writer.add(
            group.image or group.label,
            pictures.size,
            pictures.vessel_share,
            image=pictures.image,
            label=pictures.label,
            mask=pictures.mask,
        )
        self._found.used.append(
            UsedPicture(
                number=record.number,
                image=group.image,
                label=group.label,
                mask=group.mask,
                width=record.width,
                height=record.height,
                vessel_share=round(record.vessel_share, 4),
                conversions=pictures.conversions,
            )
        )

    def _refuse_again(self, group: Group, pictures: Normalised) -> None:
        """Raises a fault if a photograph or label is one that was kept before."""
        both = ((group.image, pictures.image), (group.label, pictures.label))
        digests = {sha256(png).digest(): file for file, png in both if file and png}
        for digest, file in digests.items():
            if digest in self._kept:
                raise FileFault("duplicate", f"the same picture as {self._kept[digest]}", file)
        self._kept |= digests
