"""Which files of a data set belong together, told from their names alone.

Names are paths with ``/``. Recognised are plain ``images/``, ``labels/`` and ``masks/`` and the
layouts in which these data sets are given out, each also inside other folders:

- DRIVE (Staal et al. 2004): ``training/images/21_training.tif``, ``training/1st_manual/21_manual1.gif``,
  ``training/mask/21_training_mask.gif``
- HRF (Budai et al. 2013): ``images/01_dr.JPG``, ``manual1/01_dr.tif``, ``mask/01_dr_mask.tif``
- CHASE_DB1 (Fraz et al. 2012), one folder: ``Image_01L.jpg``, ``Image_01L_1stHO.png``
- STARE (Hoover et al. 2000): ``im0001.ppm``, ``im0001.ah.ppm``, in one folder or in three

Where two people have drawn the vessels, the first one's map is the label.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".ppm", ".gif"})


class Role(Enum):
    """What a picture is."""

    PHOTO = "photograph"
    LABEL = "label"
    MASK = "mask"
    SECOND = "label of a second observer"
    DISC = "mask of the optic disc"
    LESIONS = "mask of lesions"


FOLDERS = {
    "images": Role.PHOTO,
    "stare-images": Role.PHOTO,
    "labels": Role.LABEL,
    "1st_manual": Role.LABEL,
    "manual1": Role.LABEL,
    "labels-ah": Role.LABEL,
    "masks": Role.MASK,
    "mask": Role.MASK,
    "2nd_manual": Role.SECOND,
    "labels-vk": Role.SECOND,
    "discs": Role.DISC,
    "disc": Role.DISC,
    "lesions": Role.LESIONS,
}
UNUSED = (Role.DISC, Role.LESIONS)  # masks that orders come with, and that nothing here reads
# Ends of the stem that say more than the folder does.
ENDS = (
    (re.compile(r"(_1stHO|\.ah)$", re.IGNORECASE), Role.LABEL),
    (re.compile(r"(_2ndHO|_manual2|\.vk)$", re.IGNORECASE), Role.SECOND),
)
MASK_END = re.compile(r"_mask$", re.IGNORECASE)
DRIVE_SPLIT = re.compile(r"_(training|validation|test)$", re.IGNORECASE)
SEPARATORS = re.compile(r"[._-]")


@dataclass(frozen=True)
class PairNames:
    """The files of one pair."""

    photo: str
    label: str
    mask: str | None


@dataclass(frozen=True)
class Recognised:
    """What the names tell, each part in name order."""

    pairs: tuple[PairNames, ...]
    photos_alone: tuple[str, ...]  # no label belongs to them
    alone: tuple[tuple[str, Role], ...]  # labels and masks to which no photograph belongs
    # Second observers' labels, masks of what no pair has, and further ones of a role.
    spare: tuple[tuple[str, Role], ...]


def is_picture(name: str) -> bool:
    """Whether the name ends as that of a picture does."""
    return PurePosixPath(name).suffix.lower() in PICTURES


def recognise_pairs(names: Iterable[str]) -> Recognised:
    """Sort the pictures among ``names`` into photographs with their labels and masks."""
    places: dict[tuple[str, ...], dict[Role, list[PurePosixPath]]] = {}
    for path in _pictures(names):
        role, place = _role_of(path)
        places.setdefault(place, defaultdict(list))[role].append(path)
    pairs, photos_alone, alone, spare = [], [], [], []
    for roles in places.values():
        photos = roles[Role.PHOTO]
        labels, strays, more = _partners(photos, roles[Role.LABEL])
        masks, stray_masks, more_masks = _partners(photos, roles[Role.MASK])
        for photo in photos:
            if label := labels.get(photo):
                pairs.append(PairNames(str(photo), str(label), _name(masks.get(photo))))
            else:
                photos_alone.append(str(photo))
        alone += [(str(path), Role.LABEL) for path in strays]
        alone += [(str(path), Role.MASK) for path in stray_masks]
        spare += [(str(path), Role.SECOND) for path in [*roles[Role.SECOND], *more]]
        spare += [(str(path), Role.MASK) for path in more_masks]
        spare += [(str(path), role) for role in UNUSED for path in roles[role]]
    return Recognised(
        tuple(sorted(pairs, key=lambda pair: pair.photo)),
        tuple(sorted(photos_alone)),
        tuple(sorted(alone, key=lambda found: found[0])),
        tuple(sorted(spare, key=lambda found: found[0])),
    )


@dataclass(frozen=True)
class MapNames:
    """The files of one bare label map."""

    label: str
    mask: str | None


def recognise_maps(names: Iterable[str]) -> tuple[tuple[MapNames, ...], tuple[str, ...]]:
    """Every picture is a label map, but those in ``masks/`` folders, which belong to one each.

    Returns the maps, and the masks to which no map belongs, in name order.
    """
    places: dict[tuple[str, ...], tuple[list[PurePosixPath], list[PurePosixPath]]] = {}
    for path in _pictures(names):
        folder, place = _folder_role(path)
        labels, masks = places.setdefault(place, ([], []))
        (masks if folder is Role.MASK else labels).append(path)
    maps, alone = [], []
    for labels, masks in places.values():
        partners, strays, more = _partners(labels, masks)
        maps += [MapNames(str(path), _name(partners.get(path))) for path in labels]
        alone += [str(path) for path in [*strays, *more]]
    return tuple(sorted(maps, key=lambda found: found.label)), tuple(sorted(alone))


def _pictures(names: Iterable[str]) -> Iterator[PurePosixPath]:
    return (PurePosixPath(name) for name in sorted(names) if is_picture(name))


def _name(path: PurePosixPath | None) -> str | None:
    return None if path is None else str(path)


def _role_of(path: PurePosixPath) -> tuple[Role, tuple[str, ...]]:
    """What the picture is, and the folders that its partners share."""
    role, place = _folder_role(path)
    for end, meaning in ENDS:
        if end.search(path.stem):
            return meaning, place
    if role is None:
        role = Role.MASK if MASK_END.search(path.stem) else Role.PHOTO
    return role, place


def _folder_role(path: PurePosixPath) -> tuple[Role | None, tuple[str, ...]]:
    """The role that the innermost folder with one gives, and the path's folders without that one."""
    folders = path.parts[:-1]
    for index in reversed(range(len(folders))):
        if role := FOLDERS.get(folders[index].lower()):
            return role, folders[:index] + folders[index + 1 :]
    return None, folders


def _partners(
    wholes: list[PurePosixPath], parts: list[PurePosixPath]
) -> tuple[dict[PurePosixPath, PurePosixPath], list[PurePosixPath], list[PurePosixPath]]:
    """For each of ``wholes`` the part whose name is its name, or goes on from there.

    Returns also the parts that belong to none, and those whose whole has one already.
    """
    by_stem = {DRIVE_SPLIT.sub("", path.stem): path for path in reversed(wholes)}
    by_stem |= {path.stem: path for path in reversed(wholes)}
    found: dict[PurePosixPath, PurePosixPath] = {}
    strays, more = [], []
    for part in parts:
        # The longest name first: 1_2_manual is of 1_2 rather than of 1.
        ends = [len(part.stem), *(m.start() for m in reversed([*SEPARATORS.finditer(part.stem)]))]
        starts = (part.stem[:end] for end in ends)
        whole = next((by_stem[start] for start in starts if start in by_stem), None)
        if whole is None:
            strays.append(part)
        elif whole in found:
            more.append(part)
        else:
            found[whole] = part
    return found, strays, more
