"""Faces in a frame: detect, track, align, crop, measure. Array in, array out."""
