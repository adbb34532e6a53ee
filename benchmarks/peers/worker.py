"""A peer in a Python of its own. A script: it imports no livegate, only numpy, OpenCV and the peer.

    PYTHON benchmarks/peers/worker.py JOB

JOB is JSON: ``peer`` (a key of `PEERS`), ``fd`` (file of the frames, inherited), ``shape`` (n, height, width,
3) of uint8 BGR frames in it, ``boxes`` (a face box per frame), ``cores`` or null, ``options``. Lines of JSON
come in on standard input and go out on standard output:

    -> (start)                            <- {"ready": true, "versions": {...}}
    -> {"start": 0, "count": 10}          <- {"wall_ns": [...], "cpu_ns": ..., "found": 10}

Time is taken here, around the peer's own call alone: what the line costs counts for nobody.
"""

from __future__ import annotations

import atexit
import mmap
import os
import pathlib
import shutil
import tempfile

import cv2
import numpy as np
from loop import begin, serve


def facemesh(frames, boxes, options):
    """Legacy solution FaceMesh of mediapipe 0.10 as its documentation shows it: a video, one face, RGB."""
    from mediapipe.python.solutions.face_mesh import FaceMesh

    mesh = FaceMesh(static_image_mode=False, max_num_faces=1)

    def step(index):
        image = cv2.cvtColor(frames[index], cv2.COLOR_BGR2RGB)
        return mesh.process(image).multi_face_landmarks is not None

    return step


def facelandmarker(frames, boxes, options):
    """FaceLandmarker of mediapipe 0.10 in video mode; ``options.task`` is its model bundle."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    settings = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=options["task"]), running_mode=vision.RunningMode.VIDEO
    )
    net = vision.FaceLandmarker.create_from_options(settings)
    clock = [0]

    def step(index):
        clock[0] += 33
        image = cv2.cvtColor(frames[index], cv2.COLOR_BGR2RGB)
        found = net.detect_for_video(mp.Image(image_format=mp.ImageFormat.SRGB, data=image), clock[0])
        return bool(found.face_landmarks)

    return step


def _pair(options):
    """Both MiniFASNets as published: a function of picture and box.

    On onnxruntime with its own defaults, or with ``options.threads`` threads that don't spin.
    """
    import onnxruntime as ort

    settings = ort.SessionOptions()
    if "threads" in options:
        settings.intra_op_num_threads = int(options["threads"])
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    nets = [
        (ort.InferenceSession(options[name], settings), scale) for name, scale in (("v2", 2.7), ("v1se", 4.0))
    ]
    return _scored(
        [
            (lambda planes, net=net: net.run(None, {net.get_inputs()[0].name: planes})[0][0], scale)
            for net, scale in nets
        ]
    )


def _scored(nets):
    """Crops, nets and the mean of their softmax: a function of picture and box."""

    def score(image, box):
        height, width = image.shape[:2]
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        w, h = box[2] - box[0], box[3] - box[1]
        total = np.zeros(3)
        for net, wanted in nets:
            scale = min((height - 1) / h, (width - 1) / w, wanted)
            left = min(max(x - w * scale / 2, 0), max(width - 1 - w * scale, 0))
            top = min(max(y - h * scale / 2, 0), max(height - 1 - h * scale, 0))
            region = image[int(top) : int(top + h * scale) + 1, int(left) : int(left + w * scale) + 1]
            planes = cv2.resize(region, (80, 80)).astype(np.float32).transpose(2, 0, 1)[None]
            logits = net(planes)
            e = np.exp(logits - logits.max())
            total += e / e.sum()
        return total / 2

    return score


def minifasnet(frames, boxes, options):
    """The pair alone, on boxes that it is given; they cost it nothing."""
    score = _pair(options)
    return lambda index: bool(np.isfinite(score(frames[index], boxes[index])).all())


def _torch_pair(options):
    """Both MiniFASNets in PyTorch, its default threads: a function of picture and box.

    Raises:
        ValueError: the modules don't say what the files say.
    """
    import onnxruntime as ort
    import torch
    from torch_net import OnnxModule

    nets = []
    probe = np.random.default_rng(0).uniform(0, 255, (1, 3, 80, 80)).astype(np.float32)
    for name, scale in (("v2", 2.7), ("v1se", 4.0)):
        net = OnnxModule(options[name]).eval()
        wanted = ort.InferenceSession(options[name]).run(None, {"input": probe})[0]
        with torch.inference_mode():
            found = net(torch.from_numpy(probe)).numpy()
        if not np.allclose(found, wanted, rtol=1e-3, atol=1e-3):
            raise ValueError(f"the PyTorch form of {name} differs by {np.abs(found - wanted).max():.3g}")
        nets.append((net, scale))

    def run(net, planes):
        with torch.inference_mode():
            return net(torch.from_numpy(planes)).numpy()[0]

    return _scored([(lambda planes, net=net: run(net, planes), scale) for net, scale in nets])


def torch_minifasnet(frames, boxes, options):
    """The pair in PyTorch, on boxes that it is given; they cost it nothing."""
    score = _torch_pair(options)
    return lambda index: bool(np.isfinite(score(frames[index], boxes[index])).all())


def yunet(frames, boxes, options):
    """OpenCV's YuNet on the whole frame, and the pair on what it finds."""
    height, width = frames.shape[1:3]
    detector = cv2.FaceDetectorYN.create(options["weights"], "", (width, height))
    score = _pair(options)

    def step(index):
        found = detector.detect(frames[index])[1]
        if found is None:
            return False
        x, y, w, h = found[0][:4]
        return bool(np.isfinite(score(frames[index], (x, y, x + w, y + h))).all())

    return step


def _first_face(frames, detector, net):
    """Step of uniface: find the faces, judge the first one."""

    def step(index):
        faces = detector.detect(frames[index])
        if not faces:
            return False
        net.predict(frames[index], faces[0].bbox)
        return True

    return step


def uniface(frames, boxes, options):
    """uniface: its default detector RetinaFace and its default MiniFASNet. Weights lie in its own cache."""
    from uniface import RetinaFace
    from uniface.spoofing import MiniFASNet

    return _first_face(frames, RetinaFace(), MiniFASNet())


def uniface_net(frames, boxes, options):
    """The MiniFASNet of uniface alone on boxes that it is given; its published file is ``options.v2``."""
    from uniface.spoofing import minifasnet

    minifasnet.verify_model_weights = lambda name: options["v2"]
    net = minifasnet.MiniFASNet()
    return lambda index: bool(np.isfinite(net.predict(frames[index], boxes[index]).confidence))


def uniface_scrfd(frames, boxes, options):
    """SCRFD of uniface and its default MiniFASNet.

    ``options.scrfd`` is a trained file of the family that is not in uniface's own table. Outputs with a batch
    axis, which uniface's code does not expect, have it taken off.
    """
    from uniface.detection import scrfd
    from uniface.spoofing import minifasnet

    scrfd.verify_model_weights = lambda name: options["scrfd"]
    minifasnet.verify_model_weights = lambda name: options["v2"]
    detector, net = scrfd.SCRFD(), minifasnet.MiniFASNet()
    if len(detector.session.get_outputs()[0].shape) == 3:
        run = detector.inference
        detector.inference = lambda planes: [output[0] for output in run(planes)]

    return _first_face(frames, detector, net)


def uniface_untrained(frames, boxes, options):
    """Default detector of uniface with numbers drawn at random (``options.untrained``), and its MiniFASNet.

    The detector finds nothing, which spares it the suppression of overlaps; the net gets a box for nothing.
    """
    from uniface.detection import retinaface
    from uniface.spoofing import minifasnet

    retinaface.verify_model_weights = lambda name: options["untrained"]
    minifasnet.verify_model_weights = lambda name: options["v2"]
    detector, net = retinaface.RetinaFace(), minifasnet.MiniFASNet()

    def step(index):
        detector.detect(frames[index])
        return bool(np.isfinite(net.predict(frames[index], boxes[index]).confidence))

    return step


def deepface(frames, boxes, options):
    """deepface: extract_faces with anti_spoofing and its default detector. Weights lie in its own cache.

    With ``options.untrained`` its nets get numbers drawn at random in a folder of their own, its weights
    being no part of the package: they take as long, and say nothing.
    """
    if "untrained" in options:
        _untrained_deepface()
    from deepface import DeepFace

    def step(index):
        faces = DeepFace.extract_faces(frames[index], anti_spoofing=True, enforce_detection=False)
        return bool(faces) and "is_real" in faces[0]

    return step


def _untrained_deepface():
    folder = tempfile.mkdtemp(prefix="deepface-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["DEEPFACE_HOME"] = folder
    os.environ["DEEPFACE_BACKEND_ENGINE"] = "pytorch"
    weights = pathlib.Path(folder) / ".deepface" / "weights"
    weights.mkdir(parents=True)
    import torch
    from deepface.models.spoofing.pytorch import FasNetBackbone

    torch.manual_seed(0)
    for name, make in (
        ("2.7_80x80_MiniFASNetV2.pth", FasNetBackbone.MiniFASNetV2),
        ("4_0_0_80x80_MiniFASNetV1SE.pth", FasNetBackbone.MiniFASNetV1SE),
    ):
        torch.save(make(conv6_kernel=(5, 5)).state_dict(), weights / name)


PEERS = {
    "facemesh": (facemesh, ("mediapipe",)),
    "facelandmarker": (facelandmarker, ("mediapipe",)),
    "minifasnet": (minifasnet, ("onnxruntime",)),
    "torch": (torch_minifasnet, ("torch", "onnx")),
    "yunet": (yunet, ("opencv-python", "opencv-contrib-python", "onnxruntime")),
    "uniface": (uniface, ("uniface", "onnxruntime")),
    "uniface net": (uniface_net, ("uniface", "onnxruntime")),
    "uniface scrfd": (uniface_scrfd, ("uniface", "onnxruntime", "opencv-python")),
    "uniface untrained": (uniface_untrained, ("uniface", "onnxruntime", "opencv-python")),
    "deepface": (deepface, ("deepface", "tensorflow", "torch")),
}


def main():
    """Load the peer, then time blocks until standard input ends."""
    job, answers = begin()
    memory = mmap.mmap(job["fd"], int(np.prod(job["shape"])), access=mmap.ACCESS_READ)
    frames = np.frombuffer(memory, np.uint8).reshape(job["shape"])
    make, packages = PEERS[job["peer"]]
    step = make(frames, job["boxes"], job["options"])
    serve(answers, step, len(frames), ("numpy", *packages))


if __name__ == "__main__":
    main()
