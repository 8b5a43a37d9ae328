import numpy as np
import pytest
from PIL import Image

from fathom.data.read.images import read_images
from fathom.data.read.open import open_source
from fathom.errors import DataError


def save(path, pixels, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels, dtype=np.uint8))
    (image if mode is None else image.convert(mode)).save(path, **options)


def test_a_folder_a_class(tmp_path):
    pixels = np.arange(12).reshape(3, 4)
    save(tmp_path / "cat" / "a.png", pixels)
    save(tmp_path / "cat" / "deep" / "b.png", pixels + 1)
    save(tmp_path / "dog" / "a.png", pixels + 2)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / ".hidden").mkdir()
    save(tmp_path / ".hidden" / "c.png", pixels)
    opened = open_source(tmp_path)
    assert (opened.target, opened.positions, opened.shape, opened.kind, opened.part, opened.notes) == (
        "label", True, (3, 4), "classification", None, ())  # fmt: skip
    assert opened.columns[-1].values.tolist() == ["cat", "cat", "dog"]
    assert [column.values[2] for column in opened.columns[:-1]] == (pixels + 2).ravel().tolist()


def test_parts(tmp_path):
    for part, name in [("train", "cat"), ("train", "dog"), ("valid", "cat"), ("test", "dog")]:
        save(tmp_path / part / name / "a.png", np.zeros((2, 2)))
    opened = open_source(tmp_path)
    assert dict(zip(opened.part.tolist(), opened.columns[-1].values.tolist(), strict=True)) == {
        0: "dog", 1: "cat", 2: "dog"}  # fmt: skip
    # Without a layer of classes they are classes themselves.
    save(tmp_path / "x" / "train" / "a.png", np.zeros((2, 2)))
    save(tmp_path / "x" / "test" / "a.png", np.zeros((2, 2)))
    assert open_source(tmp_path / "x").columns[-1].values.tolist() == ["test", "train"]


def test_modes_and_depths(tmp_path):
    # Oracle: Pillow's own definition of each mode, on one grey value.
    save(tmp_path / "a.png", np.full((2, 2), 100))
    save(tmp_path / "b.png", Image.fromarray(np.full((2, 2), 100 * 257, dtype=np.uint16)))
    save(tmp_path / "c.png", np.full((2, 2), 100), "P")
    save(tmp_path / "d.png", Image.new("LA", (2, 2), (100, 255)))
    save(tmp_path / "e.png", Image.new("LA", (2, 2), (100, 0)))
    save(tmp_path / "f.png", Image.new("1", (2, 2), 1))
    grey = read_images(tmp_path)
    assert grey.x.shape == (6, 2, 2)
    assert grey.x[:, 0, 0].tolist() == [100, 100, 100, 100, 255, 255]
    save(tmp_path / "g.png", Image.new("RGBA", (2, 2), (200, 10, 20, 255)))
    save(tmp_path / "h.png", Image.new("CMYK", (2, 2), (0, 0, 0, 0)).convert("RGB"))
    colored = read_images(tmp_path)
    assert colored.x.shape == (8, 2, 2, 3)
    assert colored.x[0, 0, 0].tolist() == [100] * 3
    assert colored.x[6:, 0, 0].tolist() == [[200, 10, 20], [255, 255, 255]]


def test_orientation(tmp_path):
    # Oracle: orientation 6 is turned a quarter clockwise to be upright.
    pixels = np.zeros((2, 3))
    pixels[0] = 250
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "a.png", pixels, exif=exif)
    images = read_images(tmp_path)
    assert images.notes == ()
    np.testing.assert_array_equal(images.x[0], np.rot90(pixels, -1))


def test_sizes_and_files_that_cannot_be_read(tmp_path):
    for place, size in enumerate([(100, 50), (200, 100), (300, 160)]):
        save(tmp_path / "a" / f"{place}.jpg", np.full(size, 90))
    (tmp_path / "a" / "broken.png").write_bytes(b"\x89PNG nothing")
    save(tmp_path / "a" / "cut.png", np.random.default_rng(0).integers(0, 255, (90, 90)))
    whole = (tmp_path / "a" / "cut.png").read_bytes()
    (tmp_path / "a" / "cut.png").write_bytes(whole[: len(whole) // 2])
    images = read_images(tmp_path)
    assert images.x.shape == (3, 64, 58)
    assert (images.x == 90).all()
    assert images.notes == (
        "2 images cannot be read and are left out: a/broken.png, a/cut.png",
        "the images are resized to 64 x 58",
    )


def test_new_images_are_read_as_those_of_a_model(tmp_path):
    save(tmp_path / "new.png", np.full((9, 7, 3), 30))
    names = [f"pixel_{row}_{place}" for row in range(4) for place in range(5)]
    opened = open_source(tmp_path / "new.png", names)
    assert opened.target is None
    assert [column.name for column in opened.columns] == names
    assert {column.values[0] for column in opened.columns} == {30}


def test_no_image_can_be_read(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"none of its 1 images can be read; give PNG or JPEG"):
        open_source(tmp_path)


@pytest.mark.data
def test_sign_digits(data_folder):
    opened = open_source(data_folder / "sign_digits")
    assert opened.shape == (64, 64, 3)
    assert len(opened.columns[-1].values) == 600
    assert sorted(set(opened.columns[-1].values)) == list("0123456789")


def test_files_stay_with_their_images(tmp_path):
    # Oracle: the gray value of each file.
    values = {"b.png": 10, "cat/z.png": 20, "cat/deep/a.png": 30, "ant/q.png": 40}
    for name, value in values.items():
        save(tmp_path / name, np.full((2, 2), value))
    (tmp_path / "cat" / "y.png").write_bytes(b"")
    learned, new = read_images(tmp_path), read_images(tmp_path, ["pixel_0_0"])
    for images in (learned, new):
        assert images.x[:, 0, 0].tolist() == [values[name] for name in images.files]
    assert list(new.files) == ["b.png", "ant/q.png", "cat/z.png", "cat/deep/a.png"]
    assert new.labels.tolist() == [None, "ant", "cat", "cat"]  # a model reads the one in no folder, too
    assert list(learned.files) == list(new.files)[1:] and learned.labels.tolist() == ["ant", "cat", "cat"]
    assert "1 image lies in no folder of a class and is left out" in learned.notes
