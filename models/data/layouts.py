"""Which files of a data set belong together, told from their names alone.

Names are paths with ``/``. Recognised are plain ``images/``, ``labels/`` and ``masks/`` and the layouts in which
data sets are given out, each also inside other folders:

- DRIVE (Staal et al. 2004): ``training/images/21_training.tif``, ``training/1st_manual/21_manual1.gif``,
  ``training/mask/21_training_mask.gif``
- HRF (Budai et al. 2013): ``images/01_dr.JPG``, ``manual1/01_dr.tif``, ``mask/01_dr_mask.tif``
- CHASE_DB1 (Fraz et al. 2012), one folder: ``Image_01L.jpg``, ``Image_01L_1stHO.png``
- STARE (Hoover et al. 2000): ``im0001.ppm.gz``, ``im0001.ah.ppm.gz``, in one folder or in three
- LES-AV, FIVES, ARIA, ORVS, DR-HAGIS, AV-WIDE, and nnU-Net's ``imagesTr/1_0000.png``, ``labelsTr/1.png``

Words in the names of folders and files say what a picture is. Of several labels of one photograph, all
vessels come before arteries and veins, and the first observer before the second.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath

ENDINGS = (
    ".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".tif", ".tiff", ".ppm", ".pgm", ".pnm", ".gif", ".bmp", ".webp",
)  # fmt: skip
PICTURES = frozenset(ENDINGS) | {f"{ending}.gz" for ending in ENDINGS}


class Role(Enum):
    """What a picture is."""

    PHOTO = "photograph"
    LABEL = "label"
    SECOND = "label of a second observer"
    ARTERIES_AND_VEINS = "label of arteries and veins"
    ARTERIES = "label of arteries alone"
    VEINS = "label of veins alone"
    OTHER = "label of something other than vessels"
    MASK = "mask"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


VESSELS = _words("vessel vessels vesselness vasculature bv bloodvessel bloodvessels")
ARTERIES = _words("artery arteries arteriole arterioles")
VEINS = _words("vein veins venule venules")
BOTH = _words("av artery-vein arteryvein")
OTHERS = _words(
    "disc discs disk disks opticdisc cup cups fovea macula lesion lesions exudate exudates haemorrhage "
    "haemorrhages hemorrhage hemorrhages microaneurysm microaneurysms drusen markupdiscfovea discfovea"
)
MASKS = _words("mask masks fov roi")
FIRST = _words("1st first 1stho manual1 ah observer1 annotator1 expert1")
SECOND = _words("2nd second 2ndho manual2 vk observer2 annotator2 expert2")
LABELS = _words(
    "label labels manual manuals gt groundtruth truth annotation annotations segmentation segmentations "
    "seg target targets labelstr labelsts"
)
PHOTOS = _words(
    "image images img imgs original originals photo photos photograph photographs fundus cfp markups "
    "imagestr imagests picture pictures"
)
# Words that tell a label or mask from a photograph even where no photograph has the rest of the name.
PLAIN = FIRST | SECOND | MASKS
DRIVE_SPLIT = re.compile(r"_(training|validation|test)$", re.IGNORECASE)
CHANNEL = re.compile(r"_(\d{4})$")  # nnU-Net's number of a channel
SEPARATORS = re.compile(r"[._ -]")
WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class PairNames:
    """The files of one pair, or of a bare label map (no photo), or a photograph without a label.

    label_may_be_field: the label's name says that it is a mask; its content decides.
    """

    photo: str | None
    label: str | None
    mask: str | None = None
    label_may_be_field: bool = False

    @property
    def files(self) -> list[str]:
        return [name for name in (self.photo, self.label, self.mask) if name]


@dataclass(frozen=True)
class Ambiguous:
    """A photograph of which the names do not tell which label counts."""

    photo: str
    labels: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Recognised:
    """What the names tell, each part in name order; each picture is in one of them."""

    pairs: tuple[PairNames, ...]
    photos_alone: tuple[str, ...]  # no label belongs to them
    ambiguous: tuple[Ambiguous, ...]
    alone: tuple[tuple[str, Role], ...]  # labels and masks to which no photograph belongs
    spare: tuple[tuple[str, str], ...]  # files that are not needed, and what they are
    unknown_folders: tuple[str, ...]  # that hold photographs without labels, or labels perhaps


def is_picture(name: str) -> bool:
    """Whether the name ends as that of a picture does."""
    return name.lower().endswith(tuple(PICTURES))


def is_litter(name: str) -> bool:
    """Whether an operating system has left the file."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.parts[0] == "__MACOSX" or path.name.startswith(".")


def advice(found: Recognised, name: str) -> str:
    """What to do about a picture without a partner, if its folder is why; else nothing."""
    folder = str(PurePosixPath(name).parent)
    if folder in found.unknown_folders:
        return (
            f"; nothing is known of the folder {folder}/: if it holds labels, rename it to labels/, if "
            "photographs, to images/"
        )
    if found.unknown_folders:
        return f"; if {found.unknown_folders[0]}/ holds the labels, rename it to labels/"
    return ""


def recognise_pairs(names: Iterable[str]) -> Recognised:
    """Sort the pictures among ``names`` into photographs with their labels and masks."""
    places: dict[tuple[str, ...], list[_File]] = defaultdict(list)
    for file in _pictures(names):
        places[file.place].append(file)
    pairs: list[PairNames] = []
    photos_alone: list[str] = []
    ambiguous: list[Ambiguous] = []
    alone: list[tuple[str, Role]] = []
    spare: list[tuple[str, str]] = []
    for files in places.values():
        photos, parts = _split(files, spare)
        partners: dict[str, list[_Part]] = defaultdict(list)
        by_stem = _by_stem(photos)
        for file in parts:
            photo, rest = _owner(file, by_stem)
            part = _Part(file, _role(file, rest), rest)
            if photo is None:
                alone.append((file.name, part.role))
            else:
                partners[photo.name].append(part)
        for photo in photos:
            chosen = _choose(photo.name, partners[photo.name], spare)
            if isinstance(chosen, Ambiguous):
                ambiguous.append(chosen)
            elif chosen.label is None:
                photos_alone.append(photo.name)
            else:
                pairs.append(chosen)
    known = any(file.folder for files in places.values() for file in files)
    strangers = {
        str(PurePosixPath(file.name).parent)
        for files in places.values()
        for file in files
        if known and file.folder is None and file.place and file.name in set(photos_alone)
    }
    return Recognised(
        tuple(sorted(pairs, key=lambda pair: pair.photo or "")),
        tuple(sorted(photos_alone)),
        tuple(sorted(ambiguous, key=lambda found: found.photo)),
        tuple(sorted(alone, key=lambda found: found[0])),
        tuple(sorted(spare)),
        tuple(sorted(strangers)),
    )


def recognise_maps(names: Iterable[str]) -> tuple[tuple[PairNames, ...], tuple[str, ...]]:
    """Every picture is a label map, but those in folders of masks, which belong to one each.

    Returns the maps, and the masks to which no map belongs, in name order.
    """
    places: dict[tuple[str, ...], list[_File]] = defaultdict(list)
    for file in _pictures(names):
        places[file.place].append(file)
    maps, alone = [], []
    for files in places.values():
        labels = [file for file in files if file.folder is not Role.MASK]
        by_stem = _by_stem(labels)
        masks: dict[str, str] = {}
        for file in files:
            if file.folder is Role.MASK:
                owner, _ = _owner(file, by_stem)
                if owner is None or owner.name in masks:
                    alone.append(file.name)
                else:
                    masks[owner.name] = file.name
        maps += [PairNames(None, file.name, masks.get(file.name)) for file in labels]
    return tuple(sorted(maps, key=lambda found: found.label or "")), tuple(sorted(alone))


@dataclass(frozen=True)
class _File:
    """A picture. stem: of the name, composed (NFC). folder: the role that its folder gives. words: of that
    folder. place: the folders that its partners share."""

    name: str
    stem: str
    folder: Role | None
    words: frozenset[str]
    place: tuple[str, ...]


@dataclass(frozen=True)
class _Part:
    """A label or mask of a photograph, with the words that its name has beyond the photograph's."""

    file: _File
    role: Role
    rest: frozenset[str]


def _pictures(names: Iterable[str]) -> Iterator[_File]:
    for name in sorted(names):
        if is_picture(name) and not is_litter(name):
            yield _file(name)


def _file(name: str) -> _File:
    path = PurePosixPath(unicodedata.normalize("NFC", name.replace("\\", "/")))
    stem = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    stem = stem[: stem.rindex(".")]
    folders = path.parts[:-1]
    for index in reversed(range(len(folders))):
        words = _split_words(folders[index])
        if role := _role_of_words(words, PHOTOS, LABELS):
            rest = folders[:index] + folders[index + 1 :]
            return _File(name, stem, role, words, rest)
    return _File(name, stem, None, frozenset(), folders)


def _split_words(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in WORD.findall(text))


def _role_of_words(
    words: frozenset[str], photos: frozenset[str], labels: frozenset[str]
) -> Role | None:
    """The role that words tell; all vessels come before arteries and veins, these before the rest."""
    for known, role in (
        (OTHERS, Role.OTHER),
        (VESSELS, Role.LABEL),
        (MASKS, Role.MASK),
        (BOTH, Role.ARTERIES_AND_VEINS),
    ):
        if words & known:
            return role
    if words & ARTERIES and words & VEINS:
        return Role.ARTERIES_AND_VEINS
    for known, role in (
        (ARTERIES, Role.ARTERIES),
        (VEINS, Role.VEINS),
        (SECOND, Role.SECOND),
        (FIRST | labels, Role.LABEL),
        (photos, Role.PHOTO),
    ):
        if words & known:
            return role
    return None


def _split(files: list[_File], spare: list[tuple[str, str]]) -> tuple[list[_File], list[_File]]:
    """Photographs, and labels and masks, of one place."""
    photos, parts = [], []
    candidates = [file for file in files if file.folder in (None, Role.PHOTO)]
    stems = {file.stem for file in candidates}
    for file in files:
        channel = CHANNEL.search(file.stem)
        if file.folder not in (None, Role.PHOTO):
            parts.append(file)
        elif file.words & {"imagestr", "imagests"} and channel and channel[1] != "0000":
            spare.append((file.name, "a further channel; the first one is used"))
        elif _is_part(file, stems):
            parts.append(file)
        else:
            photos.append(file)
    return photos, parts


def _is_part(file: _File, stems: set[str]) -> bool:
    """Whether a file among photographs is a label or mask: its name goes on from another's, or says so."""
    for end in _ends(file.stem):
        if file.stem[:end] in stems:
            words = _split_words(file.stem[end:])
            return _role_of_words(words, frozenset(), LABELS) is not None
    last = _split_words(file.stem[_ends(file.stem)[0] :]) if _ends(file.stem) else frozenset()
    return bool(last & PLAIN)


def _ends(stem: str) -> list[int]:
    """Where a name may end that this one goes on from, the longest first."""
    return [place.start() for place in reversed([*SEPARATORS.finditer(stem)]) if place.start()]


def _by_stem(wholes: list[_File]) -> dict[str, _File]:
    by_stem: dict[str, _File] = {}
    for shorten in (CHANNEL, DRIVE_SPLIT, None):
        for file in reversed(wholes):
            if shorten is CHANNEL and not file.words & {"imagestr", "imagests"}:
                continue
            by_stem[shorten.sub("", file.stem) if shorten else file.stem] = file
    return by_stem


def _owner(part: _File, by_stem: dict[str, _File]) -> tuple[_File | None, frozenset[str]]:
    """The photograph whose name this one is, or goes on from, and the words that it adds."""
    for end in (len(part.stem), *_ends(part.stem)):
        if owner := by_stem.get(part.stem[:end]):
            return owner, _split_words(part.stem[end:])
    return None, _split_words(part.stem[_ends(part.stem)[0] :] if _ends(part.stem) else "")


def _role(file: _File, rest: frozenset[str]) -> Role:
    """What a part is: its own name says more than its folder's."""
    own = _role_of_words(rest, frozenset(), LABELS)
    if own is None or (file.folder is not None and rest <= LABELS):
        own = file.folder
    # "manual1" among a second observer's, or "mask" among masks, changes nothing; "1_vessel" in masks/ does.
    if file.folder in (Role.MASK, Role.OTHER) and own is not Role.LABEL:
        return file.folder
    if file.folder is Role.SECOND and own is Role.LABEL:
        return Role.SECOND
    return own if own not in (None, Role.PHOTO) else Role.LABEL


def _choose(photo: str, parts: list[_Part], spare: list[tuple[str, str]]) -> PairNames | Ambiguous:
    """The pair of a photograph; what is left over is added to ``spare``."""
    masks = [part for part in parts if part.role is Role.MASK]
    masks.sort(key=lambda part: not (part.file.words | part.rest) & {"fov", "roi"})
    ranked = sorted(
        (part for part in parts if part.role is not Role.MASK), key=lambda part: _rank(part)
    )
    usable = [part for part in ranked if _rank(part)[0] < UNUSABLE]
    rest = [part for part in ranked if part not in usable]
    mask = masks.pop(0) if masks else None
    may_be_field = False
    if not usable and mask is not None and not rest:
        # Folders called masks hold vessels as often as fields of view.
        label, mask = (masks.pop(0), mask) if masks else (mask, None)
        may_be_field = True
        usable = [label]
    names = tuple(part.file.name for part in ranked)
    if not usable and rest:
        kinds = ", ".join(sorted({part.role.value for part in rest}))
        return _ambiguous(photo, mask, names, f"no label of all vessels, only a {kinds}")
    if len(usable) > 1 and _rank(usable[0]) == _rank(usable[1]):
        return _ambiguous(photo, mask, names, "several labels, and no name tells which one counts")
    for part in [*usable[1:], *rest]:
        spare.append((part.file.name, f"{_kind(part)}; {usable[0].file.name} is used"))
    spare += [(part.file.name, "another mask; the first one is used") for part in masks]
    return PairNames(
        photo,
        usable[0].file.name if usable else None,
        mask.file.name if mask else None,
        may_be_field,
    )


def _ambiguous(photo: str, mask: _Part | None, names: tuple[str, ...], reason: str) -> Ambiguous:
    return Ambiguous(photo, names + ((mask.file.name,) if mask else ()), reason)


def _kind(part: _Part) -> str:
    return "another label" if part.role is Role.LABEL else part.role.value


UNUSABLE = 4


def _rank(part: _Part) -> tuple[int, int]:
    """Lower is better: all vessels, a label, arteries and veins, a second observer's; then none that counts."""
    words = part.rest | part.file.words
    if part.role is Role.LABEL:
        # The photograph's own name comes before a longer one, the first observer before others.
        order = 0 if words & FIRST else 1 if not part.rest else 2
        return (0 if words & VESSELS else 1, order)
    if part.role is Role.ARTERIES_AND_VEINS:
        return (2, 0)
    return (3, 0) if part.role is Role.SECOND else (UNUSABLE, 0)
