"""``python -m models.training.generators``: train a teacher, the generators, and write their package.

The stages go in this order, each resumed where it stopped, with a checkpoint, curves and sample sheets in the run's
folder: ``teacher`` (segments the labelled photographs), ``trace`` (gives pseudo-labels to the others),
``translator``, ``vessel`` (coarse maps), ``doublings`` (of maps; these three in any order, side by side if wanted),
``finer`` (maps and photographs of twice the size), ``package``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import torch
from tqdm import tqdm

from models.data.photographs import (
    CHANNELS,
    VESSELS,
    PhotographSet,
    load_set,
    read_labelled,
    read_unlabelled,
    save_set,
)
from models.devices import Device, keep_freed_memory
from models.networks.map_denoiser import DenoiserConfig
from models.networks.segmenter import Segmenter
from models.networks.translator import TranslatorConfig
from models.networks.upsamplers import UpsamplerConfig
from models.package import PackageError
from models.pairs import PairError, find_pairs
from models.signals import stop_on_signals
from models.training.budget import Budget
from models.training.checkpoint import CheckpointError, load_network
from models.training.divergence import Diverged
from models.training.journal import Journal
from models.training.loop import Progress, Stopped, checkpoint_path, train
from models.training.map_denoiser import DenoiserSettings, DenoiserTrainer
from models.training.release import release
from models.training.teacher import TeacherSettings, TeacherTrainer, pseudo_label
from models.training.trainer import Trainer
from models.training.translator import TranslatorSettings, TranslatorTrainer
from models.training.upsamplers import (
    EnhancerSettings,
    EnhancerTrainer,
    MapUpsamplerSettings,
    MapUpsamplerTrainer,
)

STAGES = ("teacher", "trace", "translator", "vessel", "doublings", "finer", "package")
SIZES = (64, 128, 256, 512)  # of the coarsest photographs
TEACHER_SIZE = 512  # pixels a side that the teacher sees photographs at


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        prog="python -m models.training.generators", description=__doc__
    )
    add = options.add_argument
    add(
        "--pairs",
        action="append",
        default=[],
        metavar="FOLDER[:FIRST]",
        help="photographs with vessel labels; of some, only the first in name order; repeatable",
    )
    add(
        "--photographs",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="photographs without vessel labels; discs/ and lesions/ beside the folder are used; repeatable",
    )
    add(
        "--about",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="JSON with name, licence, attribution and url of each data set: of those with pairs first",
    )
    add(
        "--leave-out", metavar="PATTERN", help="file names of photographs that are not learned from"
    )
    add("--run", type=Path, required=True, help="folder for checkpoints, curves and sample sheets")
    add("--stage", choices=[*STAGES, "all"], default="all")
    add(
        "--minutes", type=float, default=60, help="budget of each stage in minutes of training (60)"
    )
    add("--images", type=int, help="budget of each stage in images, instead of minutes")
    add("--size", type=int, default=256, help="side of the coarsest photographs in pixels (256)")
    add(
        "--finer", action="store_true", help="train and package photographs of twice --size as well"
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (auto)")
    add("--threads", type=int, help="CPU threads (all)")
    add("--seed", type=int, default=0)
    add("--package", type=Path, help="folder that the package is written to")
    add("--name", help="name of the package (the folder's name)")
    add("--version", default="1.0.0", help="version of the package (1.0.0)")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Run the command; exits with 1 and one line on bad input, 3 if stopped before the end."""
    options = parser().parse_args(arguments)
    keep_freed_memory()
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        finished = Pipeline(options).run()
    except (PairError, PackageError, CheckpointError, Diverged, ValueError) as error:
        sys.exit(f"error: {error}")
    if not finished:
        print("stopped and saved: the same command goes on from here", file=sys.stderr)
        sys.exit(3)


class Pipeline:
    """The stages of one command."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.device = Device.choose(options.device)
        self.folder: Path = options.run
        self.folder.mkdir(parents=True, exist_ok=True)
        self.about = [read_about(path) for path in options.about]
        if options.size not in SIZES:
            raise ValueError(f"--size: {options.size}, use one of {list(SIZES)}")
        if not options.pairs:
            raise ValueError("--pairs: name at least one folder with vessel labels")
        if len(self.about) != len(options.pairs) + len(options.photographs):
            raise ValueError("--about: name one file for each folder of pairs and photographs")

    def run(self) -> bool:
        """Do the stages asked for; whether all were finished."""
        every = tuple(one for one in STAGES if one != "finer" or self.options.finer)
        wanted = every if self.options.stage == "all" else (self.options.stage,)
        steps: dict[str, Callable[[], bool]] = {
            "teacher": lambda: self._train(self.teacher()),
            "trace": self._trace,
            "translator": lambda: self._train(self.translator()),
            "vessel": lambda: self._train(self.vessel()),
            "doublings": lambda: all(self._train(one) for one in self.doublings()),
            "finer": lambda: all(self._train(one) for one in self.finer()),
            "package": self._package,
        }
        return all(steps[stage]() for stage in wanted)

    def teacher(self) -> TeacherTrainer:
        """Learns from all photographs of which something is labelled."""
        labelled = self.photographs()
        labelled = labelled.subset(labelled.known.any(1))
        return TeacherTrainer(labelled, TeacherSettings(), *self._common())

    def translator(self) -> TranslatorTrainer:
        """Learns from all photographs."""
        return TranslatorTrainer(
            self.complete(self.options.size),
            self.trained_teacher(),
            TranslatorConfig(),
            TranslatorSettings(),
            *self._common(),
        )

    def vessel(self) -> DenoiserTrainer:
        """Learns from the maps of all photographs."""
        config = DenoiserConfig(size=self.options.size // 4)
        data = self.complete(2 * config.size)
        return DenoiserTrainer(data, config, DenoiserSettings(), *self._common())

    def doublings(self) -> list[MapUpsamplerTrainer]:
        """Learn from the maps of all photographs, at half and at full size."""
        config = UpsamplerConfig(maps=2, style=4)
        return [
            MapUpsamplerTrainer(
                self.complete(size), config, MapUpsamplerSettings(), *self._common()
            )
            for size in (self.options.size // 2, self.options.size)
        ]

    def finer(self) -> tuple[MapUpsamplerTrainer, EnhancerTrainer]:
        """Learn from the maps and photographs of all, at twice the size; the translator must be trained.

        Raises:
            CheckpointError: if it is not.
        """
        complete, coarser = self.complete(2 * self.options.size), self.translator()
        coarser.load(checkpoint_path(self.folder, coarser.stage))
        return (
            MapUpsamplerTrainer(
                complete,
                UpsamplerConfig(maps=len(CHANNELS), style=4),
                MapUpsamplerSettings(),
                *self._common(),
            ),
            EnhancerTrainer(
                complete, coarser, UpsamplerConfig(), EnhancerSettings(), *self._common()
            ),
        )

    def photographs(self) -> PhotographSet:
        """All photographs, at the teacher's size."""
        options, found = self.options, None
        facts = iter(self.about)
        for given in options.pairs:
            path, _, first = given.partition(":")
            pairs = find_pairs(Path(path), int(first) if first else None)
            one = read_labelled(pairs, TEACHER_SIZE, next(facts)["key"])
            found = one if found is None else found + one
        for folder in options.photographs:
            one = read_unlabelled(folder, TEACHER_SIZE, next(facts)["key"])
            if options.leave_out:
                kept = [not fnmatch(name, options.leave_out) for name in one.names]
                one = one.subset(torch.tensor(kept))
            assert found is not None
            found = found + one
        assert found is not None
        return found

    def complete(self, size: int) -> PhotographSet:
        """Photographs with complete maps.

        Raises:
            ValueError: if they have not been traced yet.
        """
        path = self.folder / "traced.safetensors"
        if not path.exists():
            raise ValueError("stage trace: has not been done yet, begin with --stage trace")
        return load_set(path).at_size(size)

    def trained_teacher(self) -> Segmenter:
        """The averaged teacher of this run.

        Raises:
            CheckpointError: if it has not been trained.
        """
        segmenter = Segmenter(len(CHANNELS))
        load_network(checkpoint_path(self.folder, TeacherTrainer.stage), "ema", segmenter)
        return self.device.place(segmenter).eval()

    def _common(self) -> tuple[Budget, Device, int]:
        options = self.options
        minutes = None if options.images else options.minutes
        return Budget(minutes, options.images), self.device, options.seed

    def _train(self, trainer: Trainer) -> bool:
        with (
            stop_on_signals() as stopped,
            tqdm(
                total=100.0,
                desc=trainer.stage,
                bar_format="{desc} {percentage:3.0f}%|{bar}| {postfix}",
            ) as bar,
        ):

            def report(now: Progress) -> None:
                bar.n = 100 * now.share
                rate, left = now.images_per_second, now.seconds_left / 60
                bar.set_postfix_str(f"{now.images} images, {rate:.1f}/s, {left:.0f} min left")
                if stopped.is_set():
                    raise Stopped

            journal = Journal(self.folder, trainer.stage)
            return train(trainer, self.folder, report=report, recorders=[journal])

    def _trace(self) -> bool:
        teacher = self.trained_teacher()
        traced = pseudo_label(self.photographs(), teacher, self.device)
        save_set(self.folder / "traced.safetensors", traced)
        count = int((~traced.known[:, VESSELS]).sum())
        print(f"{len(traced) - count} photographs with expert labels, {count} traced")
        return True

    def _package(self) -> bool:
        options = self.options
        if not options.package:
            raise ValueError("--package: name the folder that the package is written to")
        maps, upsamplers, translator = self.vessel(), self.doublings(), self.translator()
        finer = self.finer() if options.finer else ()
        for stage in (maps, *upsamplers, translator, *finer):
            stage.load(checkpoint_path(self.folder, stage.stage))
        name = options.name or options.package.name
        about = [{k: v for k, v in one.items() if k != "key"} for one in self.about]
        release(
            maps,
            upsamplers,
            translator,
            finer,
            self.complete(self.options.size),
            about,
            name,
            options.version,
            options.package,
        )
        print(f"wrote {options.package}")
        return True


def read_about(path: Path) -> dict[str, str]:
    """What a package says of a data set; ``key`` is the file's name.

    Raises:
        ValueError: naming the file and the field that is missing or wrong.
    """
    try:
        about = json.loads(path.read_text())
        facts = {field: str(about[field]) for field in ("name", "licence", "attribution", "url")}
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: not readable as JSON ({error})") from error
    except KeyError as error:
        raise ValueError(f"{path}: field {error} is missing") from error
    return facts | {"key": path.stem}


if __name__ == "__main__":
    main()
