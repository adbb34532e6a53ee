"""Whole frames: `Vision.see` and `Session.observe` on a followed face, their floor, and the peers."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Call, Runner, alternate
from benchmarks.machine import pin
from benchmarks.options import Options, say
from benchmarks.peers import PeerPlan, SharedFrames, Worker, WorkerError, plan_peers
from benchmarks.report import Book
from benchmarks.sequence import FPS, Sequence, rendered_sequence
from benchmarks.whole import Pace, Whole, label, make_vision, shown_at
from pipeline.nets import make_session, open_store

MOST: Final = 0.95
"""Least share of frames that must be judged: one that is turned away costs no liveness net."""
OVER_FLOOR: Final = 1.28
"""The whole frame's 4 ms over the 0.63 + 2.5 ms of the mesh and a pair of nets on a healthy core."""
WHERE: Final = ("one core", "all cores")
WHOLE_PEERS: Final[dict[str, float | None]] = {
    "mediapipe FaceMesh + MiniFASNet pair": 1.5,
    "mediapipe FaceMesh + MiniFASNet pair on one thread": None,
    "YuNet + MiniFASNet pair": None,
    "YuNet + MiniFASNet pair on one thread": None,
    "uniface RetinaFace + MiniFASNet": 5.0,
    "uniface RetinaFace, untrained, + MiniFASNet": 5.0,
    "uniface SCRFD 2.5G + MiniFASNet": None,
    "deepface extract_faces anti_spoofing": 20.0,
    "deepface extract_faces anti_spoofing, untrained nets": 20.0,
}
"""Peers that do what our whole frame does, and how many times as long they should take at least."""


def face_boxes(sequence: Sequence) -> NDArray[np.float32]:
    """The face's box in each frame of a sequence: float32 (n, 4).

    Raises:
        ValueError: there is a frame without a face, on which nothing could be compared.
    """
    vision = make_vision(open_store(), 1)
    boxes = []
    for number in range(len(sequence.images)):
        face = vision.see(sequence.frame(number)).face
        if face is None:
            raise ValueError(f"frame {number} of the {sequence.name} sequence holds no face that is found")
        boxes.append(face.box)
    return np.stack(boxes)


def bare_net(path: Path, threads: int) -> Call:
    """A net alone on an input that does not change: what no code around it can get below."""
    session = make_session(path, threads=threads)
    rng = np.random.default_rng(0)
    feed = {
        entry.name: rng.random([size if isinstance(size, int) else 1 for size in entry.shape], np.float32)
        for entry in session.get_inputs()
    }
    return Call(lambda number: session.run(None, feed))


def measure(options: Options, book: Book) -> None:
    """Ours, the floor and every peer that can be run, in turn, for each size and sequence."""
    for size in options.sizes:
        _one(options, book, rendered_sequence(size, seed=options.seed))
        why = "not run: no clip was given, and the labelled data are not there"
        for clip in options.clips(size):
            if judged(clip, options.nets[0]) >= MOST:
                _one(options, book, clip)
                break
            why = f"not run: there is no clip of which {MOST:.0%} of the frames are judged at this size"
        else:
            book.skip(f"frame {size[0]}x{size[1]} clip", why)


def judged(sequence: Sequence, nets: tuple[str, ...]) -> float:
    """Share of a sequence's frames that are good enough to be judged."""
    whole = Whole(sequence, nets, 1)
    count = len(sequence.images)
    return sum(whole(number) for number in range(count)) / count


def _one(options: Options, book: Book, sequence: Sequence) -> None:
    group = f"frame {sequence.size} {sequence.name}"
    boxes = face_boxes(sequence)
    runners: dict[str, Runner] = {}
    about: dict[str, dict[str, object]] = {}
    with ExitStack() as stack:
        _add_ours(options, sequence, runners, about)
        if sequence.rendered:  # a net's time does not depend on its input, nor much else on where it is from
            _add_floor(options, runners, about)
        shared = SharedFrames(np.stack(sequence.images))
        stack.callback(shared.close)
        _add_peers(options, book, stack, shared, boxes, runners, about)
        say(f"  {group}: {len(runners)} cases in turn")
        times = alternate(runners, options.repeats, seed=options.seed)
    for name, taken in times.items():
        book.add_times(f"{group}: {name}", group, taken, **about[name])
    _add_sums(book, group, options)
    _conclude(book, group, options)


def _add_ours(
    options: Options, sequence: Sequence, runners: dict[str, Runner], about: dict[str, dict[str, object]]
) -> None:
    for nets in options.nets:
        for threads in options.threads:
            cores = options.cores(threads)
            if cores is None:
                continue
            pin(cores)  # threads that a session makes inherit this
            # a clip and further nets are only timed as the whole frame with one thread
            thorough = sequence.rendered and nets == options.nets[0]
            if threads > 1 and not thorough:
                continue
            for pace in tuple(Pace) if threads == 1 and thorough else (Pace.EVERY,):
                name = f"livegate, {label(nets)}, {threads} thread{'s' * (threads > 1)}"
                name += "" if pace is Pace.EVERY else f", {pace.value}"
                shown = shown_at(pace, sequence, options.seed)
                runners[name] = Call(Whole(shown, nets, threads, pace=pace), cores)
                about[name] = {"threads": threads, "cores": cores}


def _add_floor(options: Options, runners: dict[str, Runner], about: dict[str, dict[str, object]]) -> None:
    store = open_store()
    names = dict.fromkeys(["face_detector", "face_mesh", *(net for nets in options.nets for net in nets)])
    for name in names:
        call = bare_net(store.path(name), 1)
        call.cores = options.one
        runners[f"floor: {name}"] = call
        about[f"floor: {name}"] = {
            "threads": 1,
            "cores": options.one,
            "ours": False,
            "note": "the net alone on a constant input",
        }


def _add_peers(
    options: Options,
    book: Book,
    stack: ExitStack,
    shared: SharedFrames,
    boxes: NDArray[np.float32],
    runners: dict[str, Runner],
    about: dict[str, dict[str, object]],
) -> None:
    """Each peer twice: held to our core, and as it comes, with its own threads on all cores."""
    for plan in peer_plans(options):
        if plan.missing is not None:
            if not any(entry.name == plan.name for entry in book.not_run):
                book.skip(plan.name, f"not run: {plan.missing}")
            continue
        for cores in (options.one, None) if plan.everywhere else (options.one,):
            name = f"{plan.name}, {'one core' if cores else 'all cores'}"
            try:
                worker = stack.enter_context(Worker(plan, shared, boxes, cores, options.outer))
            except WorkerError as error:
                book.skip(plan.name, f"not run: {error}")
                break
            versions = ", ".join(f"{key} {value}" for key, value in worker.versions.items())
            runners[name] = worker
            about[name] = {
                "ours": False,
                "cores": cores or options.outer,
                "note": f"{plan.note}; {versions}",
            }


def peer_plans(options: Options) -> list[PeerPlan]:
    """The peers as the command line names them."""
    given = options.arguments
    return plan_peers(
        mediapipe=given.mediapipe,
        minifasnet=given.minifasnet,
        task=given.task,
        yunet=given.yunet,
        uniface=given.uniface,
        uniface_scrfd=given.uniface_scrfd,
        uniface_untrained=given.uniface_untrained,
        deepface=given.deepface,
        torch=given.torch,
    )


def _add_sums(book: Book, group: str, options: Options) -> None:
    """Cases that are made of two: the k-th call of one and the k-th of the other, on the same frames."""
    cases = [case for case in book.cases.values() if case.group == group]
    names = {case.name.removeprefix(f"{group}: "): case for case in cases}
    wanted = {
        f"mediapipe FaceMesh + MiniFASNet pair, {where}": (
            f"mediapipe FaceMesh, {where}",
            f"MiniFASNet pair, onnxruntime defaults, {where}",
        )
        for where in WHERE
    }
    wanted["mediapipe FaceMesh + MiniFASNet pair on one thread, one core"] = (
        "mediapipe FaceMesh, one core",
        "MiniFASNet pair, onnxruntime with one thread, one core",
    )
    wanted |= {
        f"floor: face_mesh + {label(nets)}": ("floor: face_mesh", *(f"floor: {net}" for net in nets))
        for nets in options.nets
    }
    for name, parts in wanted.items():
        if all(part in names for part in parts):
            columns = [names[part].samples for part in parts]
            first = names[parts[0]]
            book.add_case(
                f"{group}: {name}",
                group,
                [sum(row) for row in zip(*columns, strict=True)],
                ours=False,
                block=first.block,
                cores=first.cores,
                cpu_ms=sum(names[part].cpu_ms or 0.0 for part in parts),
                found=min(names[part].found or 0.0 for part in parts),
                note="sum, call by call, of " + " and ".join(parts),
            )


def _conclude(book: Book, group: str, options: Options) -> None:
    """Ours over its floor, each whole-frame peer over ours, and the targets of the whole frame."""
    for nets in options.nets:
        ours = f"{group}: livegate, {label(nets)}, 1 thread"
        if ours not in book.cases:
            continue
        case = book.cases[ours]
        if case.found is not None and case.found < MOST:
            book.skip(
                f"{ours}: comparisons", f"not compared: only {case.found:.0%} of its frames were judged"
            )
            continue
        floor = f"{group}: floor: face_mesh + {label(nets)}"
        if floor in book.cases:
            parts = ("face_mesh", *nets)
            least = sum(book.cases[f"{group}: floor: {part}"].marks.median for part in parts)
            book.target(f"{ours}, over its floor", case.marks.median / least, "times", most=OVER_FLOOR)
            _by_processor_time(book, ours, floor)
        for pace in Pace:
            name = ours if pace is Pace.EVERY else f"{ours}, {pace.value}"
            if name in book.cases:
                share = (book.cases[name].cpu_ms or 0.0) * FPS / 10
                wanted = f"{name}: share of a core at {FPS} fps"
                book.add_number(wanted, share, "%", "processor time of all threads")
                if pace is Pace.OPEN and " 1280x720 " in ours:
                    book.target(wanted, share, "%", most=15)
        if " 1280x720 " in ours:
            book.target(f"{ours}, median", case.marks.median, "ms", most=4.0)
            book.target(f"{ours}, p95", case.marks.p95, "ms", most=6.0)
        for where in WHERE:
            for peer, least in WHOLE_PEERS.items():
                name = f"{group}: {peer}, {where}"
                if name not in book.cases:
                    continue
                theirs = book.cases[name].found
                if theirs is not None and theirs < MOST:
                    book.skip(f"{name}: comparison", f"not compared: it found {theirs:.0%} of the faces")
                else:
                    ratio = book.compare(name, ours).ratio
                    _by_processor_time(book, name, ours)
                    if least is not None:
                        book.target(f"{name}, over {label(nets)}", ratio, "times", least=least)


def _by_processor_time(book: Book, over: str, under: str) -> None:
    """The ratio that a shared machine leaves standing: others' work stretches the wall clock far more."""
    a, b = book.cases[over].cpu_ms, book.cases[under].cpu_ms
    if a and b:
        book.add_number(f"{over} / {under}, by processor time", a / b, "times", "means, all threads")


def profile(options: Options, frames: int = 600) -> str:
    """Where the processor time of whole frames goes by function. What cProfile itself costs is in there."""
    import cProfile
    import io
    import pstats

    sequence = rendered_sequence(options.sizes[0], seed=options.seed)
    whole = Whole(sequence, options.nets[0], 1)
    for number in range(30):
        whole(number)
    profiler = cProfile.Profile(time.process_time_ns, 1e-9)
    profiler.enable()
    for number in range(frames):
        whole(number)
    profiler.disable()
    out = io.StringIO()
    pstats.Stats(profiler, stream=out).strip_dirs().sort_stats("tottime").print_stats(45)
    return out.getvalue()
