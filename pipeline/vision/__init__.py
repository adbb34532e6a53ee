"""Faces in frames: found, followed, measured, aligned and cropped. Arrays in, arrays out; no decisions."""

from pipeline.vision.crop import CropKind, CropSpec, crop_batch
from pipeline.vision.detect import BlazeFaceDetector, Detector
from pipeline.vision.embed import FaceEmbedder
from pipeline.vision.mesh import FaceMesh, MeshSource
from pipeline.vision.quality import QualityLimits, first_problem, measure, problems
from pipeline.vision.types import Detection, Face, Pose, Quality, View
from pipeline.vision.vision import Vision

__all__ = [
    "BlazeFaceDetector",
    "CropKind",
    "CropSpec",
    "Detection",
    "Detector",
    "Face",
    "FaceEmbedder",
    "FaceMesh",
    "MeshSource",
    "Pose",
    "Quality",
    "QualityLimits",
    "View",
    "Vision",
    "crop_batch",
    "first_problem",
    "measure",
    "problems",
]
