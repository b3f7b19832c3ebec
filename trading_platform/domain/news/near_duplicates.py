"""Near-duplicates: articles whose texts share most of their word pairs, as syndicated copies do.

A MinHash signature estimates how many they share (Jaccard similarity; A. Broder, "On the resemblance and containment
of documents", 1997); bands of it find the candidates without comparing all pairs (Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", 3.4). Copies are marked and kept.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import numpy as np

PERMUTATIONS, BANDS = 64, 16
"""With bands of four hashes, articles that share 0.8 of their pairs are compared with a probability of 0.999."""

SIMILARITY = 0.8
"""Share of the word pairs from which an article counts as a copy. A headline with one other word is none: it has too
few pairs."""

WITHIN = timedelta(days=7)
"""Articles published further apart are not compared: a text that comes back after weeks is news again."""

_FEWEST_WORDS = 5
_SEED = 42
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Signature:
    """The signature of a text.

    Attributes:
        hashes: its MinHash, 4 bytes for each permutation.
        bands: hashes of its bands.
    """

    hashes: bytes
    bands: tuple[int, ...]

    def similarity(self, other: bytes) -> float:
        """The estimated share of word pairs in common with another text, by its MinHash."""
        if len(other) != len(self.hashes):
            return 0.0
        mine, others = np.frombuffer(self.hashes, np.uint32), np.frombuffer(other, np.uint32)
        return float(np.mean(mine == others))


def signature_of(text: str) -> Signature | None:
    """The signature of a text; None if it has too few words to be recognised."""
    from rensa import RMinHash

    words = _WORD.findall(text.casefold())
    if len(words) < _FEWEST_WORDS:
        return None
    minhash = RMinHash(num_perm=PERMUTATIONS, seed=_SEED)
    minhash.update([f"{first} {second}" for first, second in pairwise(words)])
    hashes = np.array(minhash.digest(), dtype=np.uint32)
    return Signature(hashes.tobytes(), _bands(hashes.reshape(BANDS, -1)))


def _bands(rows: np.ndarray[tuple[int, ...], np.dtype[np.uint32]]) -> tuple[int, ...]:
    return tuple(number << 32 | zlib.crc32(row.tobytes()) for number, row in enumerate(rows))


def first_copy(signature: Signature, candidates: Sequence[tuple[object, bytes]]) -> object | None:
    """The candidate that a text repeats most; the first of several, None if there is none.

    Args:
        signature: of the text.
        candidates: keys and MinHashes of earlier texts, the earliest first.
    """
    best, key = 0.0, None
    for candidate, hashes in candidates:
        similarity = signature.similarity(hashes)
        if similarity >= SIMILARITY and similarity > best:
            best, key = similarity, candidate
    return key
