"""Hashed words. Oracle: zlib's CRC-32, and counting by hand."""

import subprocess
import sys
import zlib

import numpy as np

from fathom.data.words import bucket, word_buckets, words


def test_words_are_runs_of_letters_and_digits():
    assert words("Don't STOP-me 24/7, Ünïcode_x") == ["don", "t", "stop", "me", "24", "7", "ünïcode", "x"]


def test_counts_by_hand():
    texts = ["a b a", None, "", "c"]
    expected = np.zeros((4, 8))
    for row, word in [(0, "a"), (0, "b"), (0, "a"), (3, "c")]:
        expected[row, zlib.crc32(word.encode()) % 8] += 1
    found = word_buckets(texts, 8)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
    assert word_buckets([], 8).shape == (0, 8)


def test_every_process_has_the_same_buckets():
    code = "from fathom.data.words import bucket; print(bucket('naïve', 64), bucket('\\ud800', 64))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(bucket("naïve", 64)), str(bucket("\ud800", 64))]
