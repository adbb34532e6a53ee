"""Every stage of a frame on its own, through the same functions that the product calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from benchmarks.harness import Call, Runner, alternate
from benchmarks.machine import pin
from benchmarks.options import Options, say
from benchmarks.report import Book
from benchmarks.sequence import Sequence, rendered_sequence
from benchmarks.whole import NEVER, Whole, label
from pipeline.camera.frame import Frame, Image, normalise_image, pixel_sha256
from pipeline.errors import ModelError
from pipeline.liveness.continuity import ContinuityLimits, FaceGuard
from pipeline.liveness.cues import CUES, DEFAULT_CUES, CueContext
from pipeline.liveness.decision import DecisionLimits, SequentialDecision
from pipeline.liveness.evidence import Evidence
from pipeline.liveness.livepass import seal
from pipeline.liveness.passive import NETS, PassiveNet, PassiveScorer
from pipeline.nets import open_store
from pipeline.vision import BlazeFaceDetector, FaceEmbedder, FaceMesh, View, Vision, crop_batch
from pipeline.vision.align import align, five_points
from pipeline.vision.boxes import face_box
from pipeline.vision.mesh import Mesh, Roi, roi_of_landmarks
from pipeline.vision.pose import head_pose
from pipeline.vision.quality import measure as measure_quality
from pipeline.vision.track import FaceTracker, TrackLimits

ALIGNED: Final = 112

Step = Callable[[int], object]


class KnownMesh:
    """Gives meshes that were computed before, so that only the tracker's own work is timed."""

    def __init__(self, meshes: list[Mesh]) -> None:
        self._meshes = meshes
        self.number = 0

    def locate(self, image: Image, roi: Roi) -> Mesh:
        """See `pipeline.vision.mesh.MeshSource`."""
        return self._meshes[self.number]


def brief(options: Options, book: Book) -> None:
    """The stages with one thread; the whole frames are timed elsewhere in the same run."""
    measure(replace(options, threads=(1,)), book, whole=False)


def measure(options: Options, book: Book, *, whole: bool = True) -> None:
    """All stages of one size in turn, on the core that whole frames are timed on."""
    for size in options.sizes:
        for threads in options.threads:
            cores = options.cores(threads)
            if cores is None:
                continue
            pin(cores)
            sequence = rendered_sequence(size, seed=options.seed)
            runners: dict[str, Runner] = {
                name: Call(call.step, cores) for name, call in calls(options, sequence, threads).items()
            }
            if whole:
                for nets in options.nets:
                    step = Whole(sequence, nets, threads)
                    runners[f"whole frame, {label(nets)}"] = Call(step, cores)
            group = f"stage {sequence.size} {threads} thread{'s' * (threads > 1)}"
            say(f"  {group}: {len(runners)} cases in turn")
            times = alternate(runners, options.repeats, seed=options.seed)
            for name, taken in times.items():
                book.add_times(f"{group}: {name}", group, taken, threads=threads, cores=cores)


def calls(options: Options, sequence: Sequence, threads: int) -> dict[str, Call]:
    """The stages by name. With more than one thread only those that hold a net."""
    store = open_store()
    nets = list(dict.fromkeys(name for group in options.nets for name in group))
    detector = BlazeFaceDetector(store.path("face_detector"), threads=threads)
    mesh = FaceMesh(store.path("face_mesh"), threads=threads)
    vision = Vision(store, detector=detector, mesh_source=mesh)
    frames = [sequence.frame(number) for number in range(len(sequence.images))]
    views = [vision.see(frame) for frame in frames]
    faces = [view.face for view in views if view.face is not None]
    if len(faces) != len(frames):
        raise ValueError("a frame of the rendered sequence holds no face that is found")
    images, at = sequence.images, sequence.index
    rois = [roi_of_landmarks(face.landmarks) for face in faces]

    try:
        fine = FaceMesh(store.path("face_mesh_478"), threads=threads)
        found_fine = {"mesh, 478 points": Call(lambda n: fine.locate(images[at(n)], rois[at(n)]))}
    except ModelError:
        found_fine = {}  # the finer mesh need not be there
    scorers = {name: PassiveNet(name, store.path(name), threads=threads) for name in nets}
    found: dict[str, Call] = {
        "detect": Call(lambda n: detector.detect(images[at(n)])),
        "mesh": Call(lambda n: mesh.locate(images[at(n)], rois[at(n)])),
        "vision, whole": Call(_vision(sequence, vision)),
        "vision, a single picture": Call(lambda n: vision.look(images[at(n)])),
    }
    found |= found_fine
    for name, net in scorers.items():
        found[f"liveness net {name}, crop and net"] = Call(
            lambda n, net=net: net.log_odds(images[at(n)], faces[at(n)].box)
        )
    try:
        embedder = FaceEmbedder(store.path("fr_feature"), threads=threads)
        found["embed, align and net"] = Call(lambda n: embedder.embed(images[at(n)], faces[at(n)].five))
    except ModelError:
        pass  # the authority's net is not part of a frame and need not be there
    if threads > 1:
        return found

    known = KnownMesh([mesh.locate(images[i], roi) for i, roi in enumerate(rois)])
    tracker = FaceTracker(detector, known, TrackLimits(detect_every=int(NEVER)))
    found["convert, an array that must be copied"] = Call(lambda n: normalise_image(images[at(n)][:]))
    found["track, without mesh and detector"] = Call(_track(tracker, known, sequence))
    found["face box"] = Call(lambda n: face_box(faces[at(n)].landmarks))
    found["five points"] = Call(lambda n: five_points(faces[at(n)].landmarks))
    found["pose"] = Call(lambda n: head_pose(faces[at(n)].landmarks))
    found["align 112x112"] = Call(lambda n: align(images[at(n)], faces[at(n)].five, ALIGNED))
    found["quality"] = Call(lambda n: measure_quality(images[at(n)], faces[at(n)], 1))
    for name in nets:
        specs = NETS[name].crops
        for number, spec in enumerate(specs, start=1):
            out = np.empty((1, 3, spec.size, spec.size), np.float32)
            which = f" {number} of {len(specs)}" if len(specs) > 1 else ""
            found[f"crop{which} for {name}"] = Call(
                lambda n, spec=spec, out=out: crop_batch(images[at(n)], [faces[at(n)].box], spec, out)
            )
    for name in DEFAULT_CUES:
        found[f"cue {name}"] = Call(_cue(name, frames, views, sequence))
    found["same-face guard"] = Call(_guard(frames, views, sequence))
    found["decision"] = Call(_decision(PassiveScorer.load(store, options.nets[0])))
    found["seal"] = Call(lambda n: seal(frames[at(n)]))
    found["digest"] = Call(lambda n: pixel_sha256(images[at(n)]))
    return found


def _vision(sequence: Sequence, vision: Vision) -> Step:
    clock = [len(sequence.images)]

    def step(number: int) -> bool:
        clock[0] += 1
        return vision.see(sequence.frame(clock[0])).face is not None

    return step


def _track(tracker: FaceTracker, known: KnownMesh, sequence: Sequence) -> Step:
    clock = [0]

    def step(number: int) -> bool:
        clock[0] += 1
        known.number = sequence.index(clock[0])
        return tracker.step(sequence.images[known.number], clock[0] / 30, detect=False).face is not None

    return step


def _cue(name: str, frames: list[Frame], views: list[View], sequence: Sequence) -> Step:
    """A cue anew every few frames: once it has confirmed, a cue has nothing more to do."""
    cue = [CUES[name](CueContext(live=True))]

    def step(number: int) -> None:
        if number % 8 == 0:
            cue[0] = CUES[name](CueContext(live=True))
        index = sequence.index(number)
        cue[0].update(frames[index], views[index])

    return step


def _guard(frames: list[Frame], views: list[View], sequence: Sequence) -> Step:
    guard = FaceGuard(ContinuityLimits(max_gap_s=NEVER))
    guard.start(frames[0], views[0])

    def step(number: int) -> None:
        index = sequence.index(number)
        guard.watch(frames[index], views[index])

    return step


def _decision(scorer: PassiveScorer) -> Step:
    """Calibration of a score and the decision's step, in a check that stays open."""
    limits = DecisionLimits(
        min_frames=int(NEVER), deadline_s=NEVER, rho=scorer.calibration.rho, tau_s=scorer.calibration.tau_s
    )
    decision = SequentialDecision(limits, session_id="benchmark", wall_clock=time.time)
    clock = [0]

    def step(number: int) -> None:
        clock[0] += 1
        llr = scorer.calibration.llr(0.5)
        decision.judge(Evidence(seq=clock[0], t=clock[0] / 30, llr=llr), None)

    return step
