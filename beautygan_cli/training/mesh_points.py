"""The 478 points of MediaPipe's face mesh for each photo of a set, to make labels from; not part of what users run.

    python mesh_points.py people.npz mesh.npz

It stands alone, for an environment of its own with `mediapipe==0.10.14` (Apache 2.0), which pins NumPy below 2.
`people.npz` is what `dataset.load` keeps. The mesh is read from each photo and from its mirror image.
"""

import sys

import numpy as np


def main(people: str, out: str) -> None:
    """Write `out`: names, and mesh (N, 2, 478, 2) in pixels of the chips, NaN where no face is seen."""
    import mediapipe

    with np.load(people) as stored:
        names, chips = stored["names"], stored["chips"]
    reader = mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=True, max_num_faces=1, refine_landmarks=True, min_detection_confidence=0.3
    )
    mesh = np.full((len(names), 2, 478, 2), np.nan, np.float32)
    side = chips.shape[2]
    for number, chip in enumerate(chips):
        for mirrored in (0, 1):
            found = reader.process(np.ascontiguousarray(chip[:, ::-1] if mirrored else chip)).multi_face_landmarks
            if found:
                points = np.array([(point.x, point.y) for point in found[0].landmark]) * side - 0.5
                if mirrored:
                    points[:, 0] = side - 1 - points[:, 0]
                mesh[number, mirrored] = points
    np.savez(out, names=names, mesh=mesh)


if __name__ == "__main__":
    main(*sys.argv[1:])
