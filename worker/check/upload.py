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
from app.uploads.schemas import (
    Conversion,
    IgnoredFile,
    RefusedFile,
    Report,
    UnlabelledPhotograph,
    UsedPicture,
    Warned,
)
from models.data.labels import LabelOptions
from models.data.layouts import (
    PairNames,
    advice,
    is_litter,
    is_picture,
    recognise_maps,
    recognise_pairs,
)
from worker.check.group import Normalised, normalise

EXPECTED = {
    "maps": "the zip should hold label maps as PNG, TIFF, GIF, PPM or JPEG pictures, in any folders",
    "pairs": "the zip should hold images/ and labels/ with the same names, or be laid out as a known data "
    "set is given out",
}


def check_upload(claim: Claim, storage: Storage, report: Callable[[int], None]) -> dict[str, Any]:
    """Checks the upload of a claim; returns the result of the item.

    ``report`` gets the number of maps or pairs looked at, and may raise to stop the work.
    """
    contents = claim.request["kind"]
    found = Report(used=[], unlabelled=[], refused=[], ignored=[])
    index_sha256 = error = None
    try:
        _check_digest(claim, storage, report)
        archive = UploadedZip(StoredFile(storage, zip_key(claim.job_id)))
        with storage.write(segment_key(claim.job_id)) as segment:
            writer = PictureWriter(segment)
            keeper = _Keeper(archive, writer, found, _options(claim.request))
            for done, group in enumerate(_sort(archive, claim.request, found)):
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


def _options(request: dict[str, Any]) -> LabelOptions:
    return LabelOptions(tuple(request.get("vessel_values") or ()), request.get("ignore_value"))


def _sort(archive: UploadedZip, request: dict[str, Any], found: Report) -> list[PairNames]:
    """The maps or pairs in the zip, going by names; then photographs without a label, if they are wanted.

    What belongs to none is told.
    """
    names = list(_pictures(archive, found))

    def refuse(file: str, code: str, detail: str, partners: tuple[str, ...] = ()) -> None:
        fault = RefusedFile(file=file, code=code, detail=detail, partners=list(partners))
        found.refused.append(fault)

    if request["kind"] == "maps":
        maps, alone = recognise_maps(names)
        for name in alone:
            refuse(name, "missing_partner", "a mask, but no label map has its name")
        return list(maps)
    pairs = recognise_pairs(names)
    wanted = [PairNames(name, None) for name in pairs.photos_alone if request.get("unlabelled")]
    for name in pairs.photos_alone:
        if not request.get("unlabelled"):
            detail = f"a photograph, but no label has its name{advice(pairs, name)}"
            refuse(name, "missing_partner", detail)
    for each in pairs.ambiguous:
        detail = f"{each.reason}: {', '.join(each.labels)}"
        refuse(each.photo, "ambiguous_label", detail, each.labels)
    for name, role in pairs.alone:
        refuse(name, "missing_partner", f"a {role.value}, but no photograph has its name")
    for name, reason in pairs.spare:
        found.ignored.append(IgnoredFile(file=name, reason=reason))
    return [*pairs.pairs, *wanted]


def _pictures(archive: UploadedZip, found: Report) -> Iterator[str]:
    for name in archive.files:
        path = PurePosixPath(name)
        if is_litter(name):
            found.ignored.append(IgnoredFile(file=name, reason="left by an operating system"))
        elif not is_picture(name) and path.suffix.lower() in ARCHIVES:
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

    def __init__(
        self, archive: UploadedZip, writer: PictureWriter, found: Report, options: LabelOptions
    ) -> None:
        self._archive, self._writer, self._found = archive, writer, found
        self._options = options
        self._kept: dict[bytes, str] = {}  # SHA-256 of a photograph or label: its file

    def take(self, group: PairNames) -> None:
        try:
            pictures = normalise(group, self._archive.read, self._options)
            self._refuse_again(group, pictures)
        except FileFault as fault:
            partners = [name for name in group.files if name != fault.file]
            self._found.refused.append(
                RefusedFile(
                    file=fault.file, code=fault.code, detail=fault.detail, partners=partners
                )
            )
            return
        record = self._writer.add(
            group.photo or group.label or "",
            pictures.size,
            pictures.vessel_fraction or 0.0,
            image=pictures.image,
            label=pictures.label,
            mask=pictures.mask,
        )
        told: dict[str, Any] = {
            "number": record.number,
            "width": record.width,
            "height": record.height,
            "field_confidence": pictures.field_confidence,
            "conversions": [
                Conversion(file=each.file, done=each.text) for each in pictures.remarks.conversions
            ],
            "warnings": [
                Warned(file=each.file, code=each.code, detail=each.text)
                for each in pictures.remarks.warnings
            ],
        }
        if group.label is None:
            assert group.photo is not None
            self._found.unlabelled.append(UnlabelledPhotograph(image=group.photo, **told))
            return
        self._found.used.append(
            UsedPicture(
                image=group.photo,
                label=group.label,
                mask=group.mask,
                vessel_share=round(record.vessel_share, 4),
                **told,
            )
        )

    def _refuse_again(self, group: PairNames, pictures: Normalised) -> None:
        """Raises a fault if a photograph or label is one that was kept before."""
        both = ((group.photo, pictures.image), (group.label, pictures.label))
        digests = {sha256(png).digest(): file for file, png in both if file and png}
        for digest, file in digests.items():
            if digest in self._kept:
                raise FileFault("duplicate", f"the same picture as {self._kept[digest]}", file)
        self._kept |= digests
