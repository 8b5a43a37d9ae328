"""Folders of images: one folder a class, or no classes at all; and single images."""

import os
import statistics
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import DataError
from .frames import pixel_names

#: The files that count as images; others in the folder are passed over.
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm")
#: Images larger than this are made smaller: a side of the common size has at most so many pixels.
MAX_SIDE = 64

_PART_FOLDERS = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "test": 2, "testing": 2}
_GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")


@dataclass(frozen=True, eq=False)
class Images:
    """What a folder of images holds.

    Attributes:
        x: uint8 [rows, height, width] (grey) or [rows, height, width, 3] (red, green, blue).
        labels: [rows], the folder of each; or None where the images lie in no folder of a class.
        part: int8 [rows]: 0 train, 1 validation, 2 test; or None where no folder says so.
        files: [rows], where in the folder each image lies: "cat/a.png"; of one image its name.
        notes: what a user should hear: files that cannot be read, the size chosen.
    """

    x: np.ndarray
    labels: np.ndarray | None
    part: np.ndarray | None
    files: np.ndarray
    notes: tuple[str, ...]


def has_images(folder: Path) -> bool:
    """Whether some file in the folder, or in a folder below it, is named as an image."""
    return next(_walk(folder), None) is not None


def is_image(path: Path) -> bool:
    """Whether a file is named as an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def read_images(source: Path, expected: Collection[str] = ()) -> Images:
    """The images of a folder, all of one size and mode.

    The first folder below says the class; where it is called train, validation or test, it says the part and
    the one below it the class. An image is turned as its EXIF orientation says, its transparent pixels get a
    white ground, 16-bit values are scaled to 0..255, and it is resized (bilinear, without keeping its sides'
    ratio) to the median height and width of all, made smaller together until neither is above 64. All are
    grey where each is, else all are red, green and blue.

    Args:
        source: the folder, or one image.
        expected: names of inputs that a model reads; where these are pixels, they say size and mode.

    Returns:
        The images, in the order of their paths. Images in no folder of a class, where others are in one, are left
        out unless a model reads them.

    Raises:
        DataError: if no image can be read.
    """
    paths = [source] if source.is_file() else list(_walk(source))
    looked = [(path, found) for path in paths if (found := _look(path)) is not None]
    failed = sorted(set(paths) - {path for path, _ in looked})
    wanted = _wanted(expected)
    heights, widths = [found[0] for _, found in looked], [found[1] for _, found in looked]
    height, width = (wanted[0], wanted[1]) if wanted else _common_size(heights, widths)
    grey = len(wanted) == 2 if wanted else all(found[2] for _, found in looked)
    shape = (height, width) if grey else (height, width, 3)
    x = np.empty((len(looked), *shape), dtype=np.uint8)
    kept = []
    for path, _ in looked:
        pixels = _pixels(path, height, width, grey)
        if pixels is None:
            failed.append(path)
        else:
            x[len(kept)] = pixels
            kept.append(path)
    if not kept:
        raise DataError(
            f"source={str(source)!r}: none of its {len(paths)} images can be read; give PNG or JPEG"
        )
    notes = []
    if failed:
        names = ", ".join(_files(source, sorted(failed)[:5]))
        more = ", …" if len(failed) > 5 else ""
        noun = "image cannot" if len(failed) == 1 else "images cannot"
        notes.append(f"{len(failed)} {noun} be read and {'is' if len(failed) == 1 else 'are'} left out: "
                     f"{names}{more}")  # fmt: skip
    if len(set(zip(heights, widths, strict=True)) | {(height, width)}) > 1:
        notes.append(f"the images are resized to {height} x {width}")
    x, files = x[: len(kept)], np.array(_files(source, kept), dtype=object)
    labels, part = _labels(source, kept)
    loose = np.array([label is None for label in ([] if labels is None else labels)], dtype=bool)
    if labels is not None and not wanted and loose.any():
        noun, verb = ("image lies", "is") if loose.sum() == 1 else ("images lie", "are")
        notes.append(f"{int(loose.sum())} {noun} in no folder of a class and {verb} left out")
        x, files, labels = x[~loose], files[~loose], labels[~loose]
    return Images(x, labels, part, files, tuple(notes))


def _files(source: Path, paths: Sequence[Path]) -> list[str]:
    """What files of the folder are called in it."""
    return [(path.relative_to(source) if path != source else Path(path.name)).as_posix() for path in paths]


def _walk(folder: Path) -> Iterator[Path]:
    """The image files in a folder and below, in the order of their names, hidden ones left out."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        yield from (
            Path(root, name) for name in sorted(files) if not name.startswith(".") and is_image(Path(name))
        )


def _labels(source: Path, paths: Sequence[Path]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The class of each image, None of one in no folder, or None if all are; and the part of each."""
    above: list[tuple[str, ...]]
    above = [path.relative_to(source).parts[:-1] if path != source else () for path in paths]
    parts = [_PART_FOLDERS.get(folders[0].lower(), -1) if folders else -1 for folders in above]
    # "train" and "test" are parts only where there are no other folders beside them and classes below them.
    layered = all(part >= 0 and len(folders) > 1 for part, folders in zip(parts, above, strict=True))
    names = [folders[1] if layered else folders[0] if folders else None for folders in above]
    if not any(names):
        return None, None
    return np.array(names, dtype=object), np.array(parts, dtype=np.int8) if layered else None


def _wanted(expected: Collection[str]) -> tuple[int, ...]:
    """The shape that the names of pixels say: (28, 28) of pixel_0_0 … pixel_27_27; () of other names."""
    places = []
    for name in expected:
        word, *numbers = name.split("_")
        if word == "pixel" and len(numbers) in (2, 3) and all(number.isdigit() for number in numbers):
            places.append(tuple(map(int, numbers)))
    if not places or len({len(place) for place in places}) > 1:
        return ()
    shape = tuple(max(place[axis] for place in places) + 1 for axis in range(len(places[0])))
    return shape if set(pixel_names(shape)) <= set(expected) else ()


def _common_size(heights: Sequence[int], widths: Sequence[int]) -> tuple[int, int]:
    if not heights:
        return MAX_SIDE, MAX_SIDE
    height, width = statistics.median_low(heights), statistics.median_low(widths)
    scale = min(1.0, MAX_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _look(path: Path) -> tuple[int, int, bool] | None:
    """Height, width and whether it is grey, from the head of a file; None where it cannot be read."""
    from PIL import Image

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            width, height = image.size
            # Asked for it, a PNG without it is read to its end.
            turned = (image.format != "PNG" or "exif" in image.info) and image.getexif().get(0x0112, 1) >= 5
            if turned:
                width, height = height, width
            grey = image.mode in _GREY_MODES or (image.mode in ("P", "PA") and _grey_palette(image))
            return height, width, grey
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _grey_palette(image) -> bool:
    colors = np.array(image.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
    return bool((colors == colors[:, :1]).all())


def _pixels(path: Path, height: int, width: int, grey: bool) -> np.ndarray | None:
    """The pixels of an image, uint8 [height, width] or [height, width, 3]; None where it cannot be read."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            image.draft("L" if grey else "RGB", (2 * width, 2 * height))
            turned = ImageOps.exif_transpose(image)
            if turned.mode.startswith("I") or turned.mode == "F":
                turned = _eight_bits(turned)
            if turned.has_transparency_data:
                turned = turned.convert("RGBA")
                ground = Image.new("RGBA", turned.size, "white")
                turned = Image.alpha_composite(ground, turned)
            turned = turned.convert("L" if grey else "RGB")
            if turned.size != (width, height):
                turned = turned.resize((width, height), Image.Resampling.BILINEAR)
            return np.asarray(turned)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _eight_bits(image):
    """A picture of 16-bit or real values with values 0..255."""
    from PIL import Image

    values = np.asarray(image, dtype=np.float64)
    top = 65535.0 if image.mode.startswith("I") else max(1.0, float(values.max()))
    top = 255.0 if values.max() <= 255 and image.mode in ("I", "F") else top
    return Image.fromarray(np.clip(values * (255.0 / top), 0, 255).round().astype(np.uint8))
