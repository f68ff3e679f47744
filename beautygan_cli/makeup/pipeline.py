"""One photo and one reference to one photo: the whole way, a verb a line."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.errors import FaceError, ModelError
from beautygan_cli.faces import detection, exposure, occlusion, tone
from beautygan_cli.faces import masks as region_masks
from beautygan_cli.faces.alignment import FaceAnalysis
from beautygan_cli.faces.analysis import analyse_face
from beautygan_cli.faces.face import Face
from beautygan_cli.faces.reference import reference_chip
from beautygan_cli.faces.warp import warp_onto
from beautygan_cli.makeup import brows, colour_correction, composite, encoded, eye_layer, eye_pigment, rendering
from beautygan_cli.makeup.composite import Strengths
from beautygan_cli.makeup.eye_layer import EyeLayer
from beautygan_cli.makeup.look import REGIONS, SUFFIX, Look
from beautygan_cli.makeup.look import read as read_look
from beautygan_cli.makeup.style import Style
from beautygan_cli.makeup.words import Drawn
from beautygan_cli.model.features import Features
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.model.signature import Signature
from beautygan_cli.photos.files import printable
from beautygan_cli.photos.photo import Photo, decode_photo, photo_of, read_photo
from beautygan_cli.types import FloatArray, UInt8Array

if TYPE_CHECKING:
    from PIL import Image

    PhotoLike = str | Path | Photo | NDArray[np.uint8] | bytes | IO[bytes] | Image.Image


Mix = tuple[tuple[FaceAnalysis, float], ...]


@dataclass(frozen=True, eq=False)
class Wearing:
    """A look whose photos are read: for each region the faces whose makeup it takes, with weights; empty for none."""

    lips: Mix = ()
    eyes: Mix = ()
    skin: Mix = ()
    brows: Mix = ()  # the eyes' where empty

    @classmethod
    def all_of(cls, face: FaceAnalysis) -> Wearing:
        """All of one face's makeup."""
        mix = ((face, 1.0),)
        return cls(lips=mix, eyes=mix, skin=mix)

    @property
    def mixes(self) -> dict[str, Mix]:
        """By region, those that wear something."""
        parts = {region: getattr(self, region) for region in REGIONS}
        return {region: mix for region, mix in parts.items() if mix}

    @property
    def face(self) -> FaceAnalysis:
        """The face to show where there is room for one: the heaviest of the first region that wears something."""
        return max(next(iter(self.mixes.values())), key=lambda item: item[1])[0]

    @property
    def brows_painted(self) -> bool:
        """Whether the brows that come with the eyes are painted in a colour."""
        return any(tone.brows_painted(face) for face, _ in self.eyes if not isinstance(face, DrawnFace))

    @property
    def photographed(self) -> list[tuple[str, FaceAnalysis]]:
        """Region and face of all that is worn as a photo shows it, without what is drawn."""
        worn = [(region, face) for region, mix in self.mixes.items() for face, _ in mix]
        return [(region, face) for region, face in worn if not isinstance(face, DrawnFace)]


@dataclass(frozen=True, eq=False)
class DrawnFace(FaceAnalysis):
    """The bare face that comes with the package, wearing a style that was drawn on it, as a reference.

    What it wears is drawn on other faces, too, in place of being transferred. bare: the same face without it, by which
    the layer of its eyes is known; None where the network's size is fine enough for them.
    """

    bare: FaceAnalysis | None = None
    style: Style = field(default_factory=Style)


def transfer(
    source: PhotoLike,
    look: PhotoLike | Look,
    strengths: Strengths | None = None,
    *,
    session: MakeupSession | None = None,
    which: str = "all",
    in_colour: bool = False,
) -> UInt8Array:
    """The source photo wearing a look, (H, W, 3) uint8 RGB, upright, at the source's own size.

    source: a path; the bytes of a photo's file, or a binary file open at its start; a PIL image; a `Photo`; or an
    (H, W, 3) uint8 RGB array in sRGB. look: a reference photo, given in the same ways, or a `Look`, or the path of a
    `.toml` file that holds one. strengths: 0 to 1 by region; by default those of the look, for a reference photo all
    but the skin's 1. session: an open `MakeupSession` (None opens the bundled model for this call). which: "all" faces
    of the source or the "largest". in_colour: the makeup keeps its colours on a black-and-white photo, too.

    Raises PhotoError for a photo that can't be read, FaceError where there is no face, LookError for a look file that
    is none, ModelError for a model that can't be used, ValueError for an array of another shape or type.
    """
    if session is None:
        with MakeupSession() as opened:
            return transfer(source, look, strengths, session=opened, which=which, in_colour=in_colour)
    pixels = _pixels(source)
    aligned = find_faces(pixels, session.signature, _name(source), which=which)
    wearing, usual = _worn(look, session.signature)
    in_place = not isinstance(source, (Photo, np.ndarray))
    return apply_look(pixels, aligned, wearing, strengths or usual, session, in_place=in_place, in_colour=in_colour)


def remove(
    source: PhotoLike,
    bare: PhotoLike | None = None,
    strengths: Strengths | None = None,
    *,
    session: MakeupSession | None = None,
    which: str = "all",
) -> UInt8Array:
    """The source photo with its makeup taken off, (H, W, 3) uint8 RGB, upright, at the source's own size.

    bare: a bare-faced photo as an example of how skin looks without; None takes the one that comes with the package.
    strengths: 1 by default, the skin's too. The rest as in `transfer`.
    """
    if session is None:
        with MakeupSession() as opened:
            return remove(source, bare, strengths, session=opened, which=which)
    pixels = _pixels(source)
    aligned = find_faces(pixels, session.signature, _name(source), which=which)
    wearing, _ = _worn(bare_face() if bare is None else bare, session.signature)
    in_place = not isinstance(source, (Photo, np.ndarray))
    return apply_look(
        pixels, aligned, wearing, strengths or Strengths(skin=1.0), session, remove=True, in_place=in_place
    )


def apply_look(
    pixels: UInt8Array,
    aligned: Sequence[FaceAnalysis],
    wearing: Wearing,
    strengths: Strengths,
    session: MakeupSession,
    *,
    remove: bool = False,
    in_place: bool,
    in_colour: bool = False,
) -> UInt8Array:
    """The photo with all its faces in one look; `remove` and `in_place` as in `apply`, `in_colour` as in `make_up`."""
    strengths = strengths.decided(wearing.brows_painted)
    # The network leaves a part of the processor idle: masks are drawn beside it.
    with ThreadPoolExecutor(1) as beside:
        masks = beside.submit(lambda: [_weights(pixels, face, strengths, remove) for face in aligned])
        made = make_up([(face, wearing) for face in aligned], session, remove=remove, in_colour=in_colour)
        masks.result()
    return apply(pixels, aligned, made, strengths, remove=remove, in_place=in_place)


def _made_up_face() -> Path:
    """The same face made up."""
    return bare_face().with_name("made_up_face.jpg")


def bare_face() -> Path:
    """The bare face that comes with the package, of nobody, for `remove`."""
    return Path(__file__).resolve().parent.parent / "bare_face.jpg"


def wear(look: Look, faces_of: Callable[[Path], FaceAnalysis], signature: Signature) -> Wearing:
    """The look with its photos' faces, each asked for once, and with one face that wears all that is drawn."""
    known: dict[Path | Drawn, FaceAnalysis] = {path: faces_of(path) for path in look.references}
    if look.drawn:
        known |= dict.fromkeys(look.drawn, drawn_face(look.style, signature)[0])
    parts = {region: part for region in REGIONS if (part := look.part(region))}
    return Wearing(**{region: tuple((known[i.ref], i.weight) for i in part.mix) for region, part in parts.items()})


@lru_cache(maxsize=64)
def drawn_face(style: Style, signature: Signature) -> tuple[DrawnFace, UInt8Array]:
    """The package's bare face wearing a style, and its photo, (H, W, 3) uint8 RGB."""
    pixels, found = _bare_photo()
    bare = _bare_pair(signature)[0]
    photo = np.asarray(np.rint(rendering.render(pixels, found.landmarks, style)), dtype=np.uint8)
    worn = analyse_face(photo, found, signature.size, signature.padding)
    face = DrawnFace(worn.chip, worn.crop_transform, bare.landmarks, bare.exposure, worn.eyes, bare=bare, style=style)
    return face, photo


def sketched(look: Look, signature: Signature) -> Wearing:
    """A look that is drawn throughout, without the layer of its eyes: for small pictures, and there at once."""
    bare = _bare_pair(signature)[0]
    face = DrawnFace(bare.chip, bare.crop_transform, bare.landmarks, bare.exposure, style=look.style)
    return Wearing(**{region: ((face, 1.0),) for region in REGIONS if look.part(region)})


def _worn(look: PhotoLike | Look, signature: Signature) -> tuple[Wearing, Strengths]:
    def face_of(photo: PhotoLike) -> FaceAnalysis:
        return find_faces(_pixels(photo), signature, _name(photo), which="largest")[0]

    if isinstance(look, (str, Path)) and Path(look).suffix.lower() == SUFFIX:
        look = read_look(Path(look))
    if isinstance(look, Look):
        return wear(look, face_of, signature), look.strengths
    return Wearing.all_of(face_of(look)), Strengths()


def find_faces(
    pixels: UInt8Array,
    signature: Signature,
    name: str,
    *,
    which: str = "all",
    go_on: Callable[[], None] = lambda: None,
) -> list[FaceAnalysis]:
    """The aligned faces of an (H, W, 3) uint8 RGB photo, largest first; FaceError, naming the photo, without one.

    which: "largest", or "all" but those that `find_subjects` leaves alone. go_on: called again and again meanwhile; may
    raise what ends the search.
    """
    return find_subjects(pixels, signature, name, which=which, go_on=go_on)[0]


def find_subjects(
    pixels: UInt8Array,
    signature: Signature,
    name: str,
    *,
    which: str = "all",
    go_on: Callable[[], None] = lambda: None,
) -> tuple[list[FaceAnalysis], int]:
    """As `find_faces`, and how many faces beside them are left alone.

    Those are far smaller than the largest, or without colour beside faces in colour: bystanders, statues, prints.
    """
    found = detection.detect(pixels, go_on=go_on)
    if not found:
        raise FaceError(f"no face found in {name}; use a photo in which the face is larger, upright and uncovered.")
    aligned = []
    for face in found[:1] if which == "largest" else detection.main_faces(found):
        go_on()
        aligned.append(analyse_face(pixels, face, signature.size, signature.padding))
    if len(aligned) > 1:
        aligned = [face for face in aligned if not tone.is_toned(face)] or aligned
    return aligned, 0 if which == "largest" else len(found) - len(aligned)


@dataclass(frozen=True, eq=False)
class Made:
    """What the network made of one face.

    network_input, made_up: its chip as it went in and as it came out, (S, S, 3) float32 RGB 0..255; eyes: the pigment
    of its left and right eye, None where the network's own change is all there is; brows_painted: whether they come
    along by default.
    """

    network_input: FloatArray
    made_up: FloatArray
    eyes: tuple[EyeLayer, EyeLayer] | None = None
    brows_painted: bool = False


@dataclass(frozen=True, eq=False)
class _Job:
    """What one face takes of one mix: chips as they go into the network, (S, S, 3) float32 RGB 0..255 each."""

    source: FaceAnalysis
    mix: Mix
    chips: list[tuple[FloatArray, FloatArray]]


def make_up(
    pairs: Sequence[tuple[FaceAnalysis, FaceAnalysis | Wearing]],
    session: MakeupSession,
    *,
    remove: bool = False,
    in_colour: bool = False,
) -> list[Made]:
    """Each source made up with its look.

    pairs: (source, reference or look), run in the session's batches, a look whose regions take different references
    once for each. `remove`: with its makeup off in place of on, after the reference's example. `in_colour`: the makeup
    keeps its colours on a photo that has none, too. ModelError where a mix is asked for that the model can't give.
    """
    return [finish() for finish in run_networks(pairs, session, remove=remove, in_colour=in_colour)]


def run_networks(
    pairs: Sequence[tuple[FaceAnalysis, FaceAnalysis | Wearing]],
    session: MakeupSession,
    *,
    remove: bool = False,
    in_colour: bool = False,
) -> list[Callable[[], Made]]:
    """The part of `make_up` that is for one thread; what it gives for each pair does the rest, in any thread."""
    looks = [look if isinstance(look, Wearing) else Wearing.all_of(look) for _, look in pairs]
    lit = {source: exposure.lit(source) for source in dict.fromkeys(source for source, _ in pairs)}
    jobs = {
        (number, mix): _Job(lit[source], mix, [_chips(lit[source], face, session.signature) for face, _ in mix])
        for number, ((source, _), look) in enumerate(zip(pairs, looks, strict=True))
        for mix in dict.fromkeys(look.mixes.values())
    }
    for source in lit if in_colour else ():
        tone.decide(source, False)
    chips = dict(zip(jobs, _run(list(jobs.values()), session, remove), strict=True))
    pigment = {} if remove else _pigment([mix for look in looks if (mix := look.mixes.get("eyes"))], session)

    def finished(number: int) -> Made:
        (source, _), look = pairs[number], looks[number]
        own = {mix: jobs[number, mix] for mix in dict.fromkeys(look.mixes.values())}
        made = {mix: _completed(job, chips[number, mix], session.signature, remove) for mix, job in own.items()}
        before = next(iter(own.values())).chips[0][0]
        after = _joined(before, {region: made[mix] for region, mix in look.mixes.items()}, source)
        of_brows = look.mixes.get("brows", look.mixes.get("eyes", ()))
        if not remove and of_brows and not _is_drawn(of_brows) and all(tone.brows_painted(f) for f, _ in of_brows):
            after = brows.drawn(before, after, source, of_brows)
        after = tone.kept(source, before, after, [face for mix in look.mixes.values() for face, _ in mix])
        if lit[source] is not source:
            own_chip = _fed(source, session.signature)
            before, after = own_chip, exposure.dimmed(own_chip, lit[source], before, after)
        eyes = pigment.get(look.mixes.get("eyes", ()))
        if eyes and (tone.is_toned(source) or any(tone.is_toned(face) for face, _ in look.mixes["eyes"])):
            eyes = (eye_layer.grey(eyes[0]), eye_layer.grey(eyes[1]))
        return Made(before, after, eyes, look.brows_painted and not remove)

    return [partial(finished, number) for number in range(len(pairs))]


def look_over(source: FaceAnalysis, signature: Signature) -> None:
    """Work out now, while the network has other faces, what `run_networks` and what comes after need of a source."""
    lit = exposure.lit(source)
    _fed(lit, signature)
    colour_correction.look_over(lit)
    tone.is_toned(source)


def look_over_reference(reference: FaceAnalysis, signature: Signature) -> None:
    """Work out now, while others are being read, what `run_networks` needs of a reference."""
    if signature.warp_reference:
        reference_chip(reference)


def prepare(session: MakeupSession, *, remove: bool = False) -> None:
    """Do now, while photos are read by other threads, what the first call of `make_up` would be slower by.

    remove: as there. Networks are opened and prepared, the eyes' layers tried on the face that comes with the package.
    ModelError where one of the networks can't be used.
    """
    if remove:
        session.prepare(removal=True)
        return
    encoded.prepare(session)
    usable = eye_layer.usable(session, _bare_pair)
    if usable:  # loaded first: what comes then waits for networks that photos go through meanwhile
        session.prepare(removal=True)
    occlusion.prepare()
    if usable:
        reference_chip(_bare_pair(session.signature)[0])  # how skin looks without makeup, for every reference
        eye_pigment.prepare()


def _pigment(mixes: Sequence[Mix], session: MakeupSession) -> dict[Mix, tuple[EyeLayer, EyeLayer]]:
    """The eyes' pigment of each mix; nothing where the model takes makeup off too badly to read it by that."""
    references = list(dict.fromkeys(face for mix in mixes for face, _ in mix))
    kind = ("eye layers", session.digest)
    for face in references:
        if isinstance(face, DrawnFace):
            face.known[kind] = None if face.bare is None else eye_layer.drawn_layers(face.bare, face)
    shown = [face for face in references if not isinstance(face, DrawnFace)]
    if shown and not eye_layer.usable(session, _bare_pair):
        for face in shown:
            face.known[kind] = None
    missing = [face for face in references if kind not in face.known]
    if missing:
        for face, layers in zip(missing, eye_layer.eye_layers(missing, *bared(missing, session)), strict=True):
            face.known[kind] = layers
    return {
        mix: eye_layer.weighted([(face.known[kind], weight) for face, weight in mix])
        for mix in dict.fromkeys(mixes)
        if all(face.known[kind] for face, _ in mix)
    }


def bared(faces: Sequence[FaceAnalysis], session: MakeupSession) -> tuple[NDArray[Any], NDArray[Any]]:
    """The faces' chips as the network sees them, and with their makeup off, (N, S, S, 3) RGB 0..255 each."""
    example = _bare_pair(session.signature)[0]
    chips = [network_chips(face, example, session.signature) for face in faces]
    network_input, bare = (np.stack(side) for side in zip(*chips, strict=True))
    return network_input, session.remove(network_input, bare)


@lru_cache(maxsize=4)
def _bare_pair(signature: Signature) -> tuple[FaceAnalysis, FaceAnalysis]:
    """The bare face that comes with the package, and the same made up."""
    bare, face = _bare_photo()
    worn = read_photo(_made_up_face()).pixels
    first, second = (analyse_face(pixels, face, signature.size, signature.padding) for pixels in (bare, worn))
    return first, second


def example_photos(session: MakeupSession) -> list[UInt8Array]:
    """The package's face made up after its made-up photo, and that with its makeup off: (H, W, 3) uint8 RGB each.

    One alone where the model takes no makeup off. ModelError where it puts none on.
    """
    bare, worn = (replace(face) for face in _bare_pair(session.signature))  # what is known of those is another model's
    photos = [_bare_photo()[0], read_photo(_made_up_face()).pixels]
    whole = Strengths(skin=1.0)
    result = [apply(photos[0], [bare], make_up([(bare, worn)], session), whole)]
    with contextlib.suppress(ModelError):
        result.append(apply(photos[1], [worn], make_up([(worn, bare)], session, remove=True), whole, remove=True))
    return result


def drawn_chip(style: Style, signature: Signature) -> UInt8Array:
    """The package's bare face wearing a style as a chip, (S, S, 3) uint8 RGB: sooner there than `drawn_face`."""
    bare = _bare_pair(signature)[0]
    return np.asarray(np.rint(rendering.render(bare.chip, bare.landmarks, style)), dtype=np.uint8)


@lru_cache(maxsize=1)
def _bare_photo() -> tuple[UInt8Array, Face]:
    """The package's bare face: its photo's pixels, and where its face is."""
    pixels = read_photo(bare_face()).pixels
    return pixels, detection.detect(pixels)[0]


def _run(jobs: Sequence[_Job], session: MakeupSession, remove: bool) -> list[FloatArray]:
    """The network's chip for each job; nothing that is of use for one whose makeup is drawn."""
    if remove:
        network_input, bare = (np.stack(chips) for chips in zip(*(job.chips[0] for job in jobs), strict=True))
        return list(session.remove(network_input, bare))
    result = {id(job): job.chips[0][0] for job in jobs if _is_drawn(job.mix)}
    single = [job for job in jobs if len(job.mix) == 1 and id(job) not in result]
    if single:
        sources, looks = zip(*(job.chips[0] for job in single), strict=True)
        pairs = [(job.source, job.mix[0][0]) for job in single]
        result |= dict(zip(map(id, single), encoded.transfer(session, pairs, sources, looks), strict=True))
    result |= {id(job): _mixed(job, session) for job in jobs if id(job) not in result}
    return [result[id(job)] for job in jobs]


def _completed(job: _Job, chip: FloatArray, signature: Signature, remove: bool) -> FloatArray:
    """The network's chip with its makeup as deep as the reference's, or with what it left of makeup taken off."""
    if remove:
        return colour_correction.bared(chip, job.source.landmarks)
    return _drawn(job) if _is_drawn(job.mix) else _deepened(job, chip, signature)


def _is_drawn(mix: Mix) -> bool:
    """Whether what is worn is known as a drawing, and need not be asked of the network."""
    return all(isinstance(face, DrawnFace) for face, _ in mix)


def _drawn(job: _Job) -> FloatArray:
    """The source's chip with the style drawn on it."""
    (face, _), (chip, _) = job.mix[0], job.chips[0]
    assert isinstance(face, DrawnFace)
    return rendering.render(chip, job.source.landmarks, face.style)


def _mixed(job: _Job, session: MakeupSession) -> FloatArray:
    """The network's chip with the references mixed as the network sees them."""
    features = session.encode_references(np.stack([look for _, look in job.chips]))
    weights = [weight for _, weight in job.mix]
    mixed = Features.mixed([(features[number], weight) for number, weight in enumerate(weights)])
    chip: FloatArray = session.decode(session.encode_sources(job.chips[0][0][None]), mixed)[0]
    return chip


def _deepened(job: _Job, after: FloatArray, signature: Signature) -> FloatArray:
    source, (reference, _) = job.source, job.mix[0]
    before, look = job.chips[0]
    if len(job.mix) > 1:
        if not signature.warp_reference:  # the references' lips lie in different places: there is no mean of them
            return after
        look = np.average([chip for _, chip in job.chips], axis=0, weights=[weight for _, weight in job.mix])
    worn = source.landmarks if signature.warp_reference else reference.landmarks
    return colour_correction.deepen(before, after, source, look, worn)


def _joined(before: FloatArray, worn: Mapping[str, FloatArray], source: FaceAnalysis) -> FloatArray:
    """One chip of those that the regions wear; a region without one stays as it was before."""
    lips, eyes, skin = (worn.get(region, before) for region in ("lips", "eyes", "skin"))
    brows = worn.get("brows", eyes)
    if all(chip is lips for chip in (eyes, skin, brows)):
        return lips
    around_lips = source.mask(region_masks.lips_mask, grow=0.05, soft=0.02)[..., None]
    on_brows = source.mask(region_masks.brows_mask)[..., None]
    around_eyes = np.maximum(source.mask(region_masks.eyes_mask)[..., None], on_brows)
    result = skin + around_eyes * (eyes - skin)
    result = result + on_brows * (brows - eyes)
    return np.asarray(result + around_lips * (lips - result), dtype=np.float32)


def _chips(source: FaceAnalysis, reference: FaceAnalysis, signature: Signature) -> tuple[FloatArray, FloatArray]:
    """`network_chips`, but for a drawn style the source's own chip alone."""
    if isinstance(reference, DrawnFace):
        chip = _fed(source, signature)
        return chip, chip
    return network_chips(source, reference, signature)


def network_chips(source: FaceAnalysis, reference: FaceAnalysis, signature: Signature) -> tuple[FloatArray, FloatArray]:
    """The two chips as the model wants them, (S, S, 3) float32 RGB 0..255, warped and masked as its signature says."""
    shape = (signature.size, signature.size)
    if signature.warp_reference:
        second = warp_onto(reference_chip(reference), reference.landmarks, source.landmarks, shape)
    else:
        second = reference.chip.astype(np.float32)
    if signature.mask:
        worn_by = source if signature.warp_reference else reference
        second = region_masks.masked(second, worn_by.mask(region_masks.face_mask))
    return _fed(source, signature), second


def _fed(source: FaceAnalysis, signature: Signature) -> FloatArray:
    """The source's chip as the model wants it."""
    chip = source.chip.astype(np.float32)
    if signature.mask:
        chip = region_masks.masked(chip, source.mask(region_masks.face_mask))
    return chip


def apply(
    pixels: UInt8Array,
    aligned: Sequence[FaceAnalysis],
    made: Sequence[Made],
    strengths: Strengths,
    *,
    remove: bool = False,
    in_place: bool = False,
) -> UInt8Array:
    """The photo with each of its faces made up, the smallest first, so that a larger one before it wins.

    made: of each face, as `make_up` gives it; `remove`: as there. `in_place`: in `pixels` itself, which are of
    no further use, since a large photo is slow to copy.
    """
    asked = [strengths.decided(item.brows_painted) for item in made]
    weights = [_weights(pixels, face, one, remove) for face, one in zip(aligned, asked, strict=True)]
    result = pixels if in_place else pixels.copy()
    for face, item, strengths, share in reversed(list(zip(aligned, made, asked, weights, strict=True))):
        if item.eyes is None or strengths.eyes <= 0:
            composite.paste_into(result, face, item.network_input, item.made_up, strengths, share)
            continue
        places = eye_layer.places(face, (result.shape[0], result.shape[1]))
        before = [result[place].copy() for place in places]
        painted = composite.paste_into(result, face, item.network_input, item.made_up, strengths, share, places)
        ground = composite.shade_density(item.network_input, item.made_up, face, strengths)
        eye_layer.lay_on(result, face, places, before, painted, item.eyes, strengths.eyes, ground)
    return result


def _weights(pixels: UInt8Array, face: FaceAnalysis, strengths: Strengths, remove: bool) -> FloatArray:
    """A face's weights, which are the same with every reference; the last ones are kept."""
    asked = (strengths, remove)
    with face.drawing:  # the finishers of a source's first results would each draw them
        known = face.known.get("weights")
        if known is None or known[0] != asked:
            known = (asked, composite.change_weights(pixels, face, strengths, remove=remove))
            face.known["weights"] = known
    weights: FloatArray = known[1]
    return weights


def _pixels(photo: PhotoLike) -> UInt8Array:
    if isinstance(photo, np.ndarray):
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
            raise ValueError(f"a photo's array must be (H, W, 3) uint8 RGB, but is {photo.shape} {photo.dtype}")
        return photo
    return detection.decided(_read(photo)).pixels


def _read(photo: PhotoLike) -> Photo:
    if isinstance(photo, Photo):
        return photo
    if isinstance(photo, (str, Path)):
        return read_photo(photo)
    if isinstance(photo, bytes) or hasattr(photo, "read"):
        content = photo if isinstance(photo, bytes) else photo.read()
        return decode_photo(io.BytesIO(content), Path(_name(photo)))
    return photo_of(cast("Image.Image", photo))


def _name(photo: PhotoLike) -> str:
    if isinstance(photo, (str, Path, Photo)):
        return printable(photo.path if isinstance(photo, Photo) else photo)
    return "the photo"
