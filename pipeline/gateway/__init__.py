"""The server side of the face_verify protocol over an embedded authority."""
