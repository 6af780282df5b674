"""Builds the images of docker/Dockerfile where there is no Docker engine: python3 docker/build.py

Needs root on a Debian machine; buildah and debootstrap are installed if they are missing. The base that
the Dockerfile names is made by debootstrap, once. pip works in the build as it does outside: its
configuration is handed on, and the folders and files that it names are mounted.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

TREE = Path(__file__).resolve().parent.parent
DOCKERFILE = TREE / "docker" / "Dockerfile"
STORAGE = TREE / ".images"
TARGETS = ("api", "worker")
SUITE = "bookworm"
TOOLS = ("buildah", "debootstrap")
# What Debian's slim images leave out, too.
NOT_IN_BASE = ("doc", "info", "locale", "man")
DEBIAN_SOURCES = Path("etc/apt/sources.list.d/debian.sources")
# Those that say where packages come from.
PIP_SETTINGS = {"cert", "constraint", "extra-index-url", "find-links", "index-url"}
# Where the build finds what pip's configuration names on this machine.
HOST = Path("/host")


class Buildah:
    """The buildah command, on images and containers that it keeps in one folder."""

    def __init__(self, storage: Path) -> None:
        # vfs asks nothing of the kernel; every layer is a whole copy, so the Dockerfile has few.
        folders = ["--root", str(storage / "root"), "--runroot", str(storage / "run")]
        self._command = ["buildah", *folders, "--storage-driver", "vfs"]

    def command(self, *arguments: str) -> list[str]:
        return [*self._command, *arguments]

    def __call__(self, *arguments: str) -> str:
        """What the command prints on standard output. Raises CalledProcessError."""
        command = self.command(*arguments)
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

    def has(self, image: str) -> bool:
        return image in self("images", "--all", "--format", "{{.Name}}:{{.Tag}}").split()

    def size(self, image: str) -> str:
        """Of all files, not compressed."""
        return self("images", "--format", "{{.Size}}", image)

    def configuration(self, image: str) -> dict:
        """Env, Cmd, User and so on of the image, as Docker names them."""
        return json.loads(self("inspect", "--type", "image", image))["Docker"]["config"]


def image_of(target: str) -> str:
    return f"localhost/fundusmith-{target}:latest"


def base_image() -> str:
    """The base that the Dockerfile names."""
    (name,) = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    return name


def install_tools() -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if os.geteuid() != 0 or (missing and shutil.which("apt-get") is None):
        sys.exit("This needs root on Debian. Elsewhere use Docker: docs/docker.md.")
    if missing:
        subprocess.run(["apt-get", "-qq", "update"], check=True)
        install = ["apt-get", "-qq", "install", "--yes", "--no-install-recommends", *missing]
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(install, check=True, env=environment, stdout=subprocess.DEVNULL)


def make_base(buildah: Buildah, name: str) -> None:
    """A Debian as small as its slim images, with the sources of packages that this machine has."""
    container = buildah("from", "scratch")
    root = Path(buildah("mount", container))
    debootstrap = ["debootstrap", "--variant=minbase", SUITE, str(root)]
    subprocess.run(debootstrap, check=True, stdout=subprocess.DEVNULL)
    sources = Path("/") / DEBIAN_SOURCES
    if sources.exists() and f" {SUITE}-security" in sources.read_text():
        shutil.copy(sources, root / DEBIAN_SOURCES)
        (root / "etc/apt/sources.list").unlink()
    for name_of_folder in NOT_IN_BASE:
        shutil.rmtree(root / "usr/share" / name_of_folder)
    for folder in ("var/cache/apt", "var/lib/apt/lists", "var/log"):
        shutil.rmtree(root / folder)
        (root / folder).mkdir()
    buildah("umount", container)
    buildah("commit", "--rm", container, name)


def pip_configuration(pip: str) -> tuple[str, dict[Path, Path]]:
    """pip's own settings on this machine as a pip.conf, and what is to be mounted where for it.

    ``pip`` is what ``pip config list`` prints; the environment wins over files, as with pip.
    """
    settings: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        settings |= dict(re.findall(rf"^{section}\.([\w-]+)='(.*)'$", pip, re.MULTILINE))
    mounts: dict[Path, Path] = {}

    def move(match: re.Match[str]) -> str:
        scheme, path = match[1] or "", Path(match[2])
        # The pages of an index link to files beside the folder of the pages.
        mounted = path.parent if scheme else path
        mounts[mounted] = HOST / mounted.relative_to("/")
        return f"{scheme}{HOST / path.relative_to('/')}"

    lines = ["[global]"]
    for name in PIP_SETTINGS & settings.keys():
        value = re.sub(r"(?<!\S)(file://)?(/\S+)", move, settings[name])
        lines.append(f"{name} = {value}")
    return "\n".join(lines) + "\n", mounts


def build(buildah: Buildah, target: str, arguments: list[str]) -> None:
    pip = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True
    )
    configuration, mounts = pip_configuration(pip.stdout)
    options = ["--isolation", "chroot", "--network", "host", "--pull-never"]
    options += ["--format", "docker"]  # OCI's knows no HEALTHCHECK
    for argument in arguments:
        options += ["--build-arg", argument]
    for here, there in mounts.items():
        options += ["--volume", f"{here}:{there}:ro"]
    options += ["--file", str(DOCKERFILE), "--target", target, "--tag", image_of(target)]
    with TemporaryDirectory() as folder:
        secret = Path(folder) / "pip.conf"
        secret.write_text(configuration)
        options += ["--secret", f"id=pip,src={secret}"]
        subprocess.run(buildah.command("bud", *options, str(TREE)), check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", choices=TARGETS, action="append", help="one of them only")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--storage", type=Path, default=STORAGE, help="folder of the images")
    options = parser.parse_args()
    install_tools()
    buildah = Buildah(options.storage)
    figures = []
    if not buildah.has(base := base_image()):
        started = time.monotonic()
        make_base(buildah, base)
        figures.append((base, time.monotonic() - started))
    for target in options.target or TARGETS:
        started = time.monotonic()
        build(buildah, target, options.build_arg)
        figures.append((image_of(target), time.monotonic() - started))
    for image, seconds in figures:
        print(f"{image}: {buildah.size(image)}, built in {seconds:.0f} s")


if __name__ == "__main__":
    main()
