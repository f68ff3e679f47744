"""Faces through a session, each encoded once: a source with several references, a reference with several sources.

What a model sees of a reference that it wants warped onto each source differs from pair to pair. There, keeping what
is left costs more than encoding it again, and pairs go through the network as a whole.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces.alignment import FaceAnalysis
from beautygan_cli.model.features import Features
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.types import FloatArray

MOST_KEPT_BYTES = 1 << 28  # of features of each side; the published model's take 2 MB a face


class _Kept:
    """Features of faces, for as long as the faces are there and the room lasts."""

    def __init__(self) -> None:
        self.features: WeakKeyDictionary[FaceAnalysis, Features] = WeakKeyDictionary()
        self.lock = threading.Lock()

    def of(
        self,
        faces: Sequence[FaceAnalysis],
        chips: Sequence[NDArray[Any]],
        encode: Callable[[NDArray[Any]], Features],
    ) -> Features:
        """The features of each face, whose chip lies at its side; of one alone where all are the same face."""
        with self.lock:
            known = {face: self.features[face] for face in dict.fromkeys(faces) if face in self.features}
            new = {face: chip for face, chip in zip(faces, chips, strict=True) if face not in known}
            if new:
                encoded = encode(np.stack(list(new.values())))
                for number, face in enumerate(new):
                    known[face] = self.features[face] = encoded[number]
            self._make_room()
        wanted = faces if len(known) > 1 else faces[:1]
        return Features.joined([known[face] for face in wanted])

    def _make_room(self) -> None:
        """Forget the faces that came first."""
        sizes = {face: sum(array.nbytes for array in kept.arrays) for face, kept in self.features.items()}
        total = sum(sizes.values())
        for face, size in sizes.items():
            if total <= MOST_KEPT_BYTES:
                return
            del self.features[face]
            total -= size


_kept: WeakKeyDictionary[MakeupSession, tuple[_Kept, _Kept]] = WeakKeyDictionary()


def prepare(session: MakeupSession) -> None:
    """Do now what the first `transfer` would be slower by. ModelError as `MakeupSession.prepare` raises it."""
    session.prepare(apart=not _as_a_whole(session))


def _as_a_whole(session: MakeupSession) -> bool:
    """Whether pairs go through the network as a whole."""
    return session.signature.warp_reference or not session.can_mix


def transfer(
    session: MakeupSession,
    pairs: Sequence[tuple[FaceAnalysis, FaceAnalysis]],
    sources: Sequence[NDArray[Any]],
    references: Sequence[NDArray[Any]],
) -> FloatArray:
    """What `session.transfer` gives for the chips of these (source, reference) pairs, as the network takes them.

    A face's chip must be the same whenever it is asked for, on either side.
    """
    if _as_a_whole(session):
        return session.transfer(np.stack(sources), np.stack(references))
    of_sources, of_references = _kept.setdefault(session, (_Kept(), _Kept()))
    return session.decode(
        of_sources.of([source for source, _ in pairs], sources, session.encode_sources),
        of_references.of([reference for _, reference in pairs], references, session.encode_references),
    )
