"""The face_verify client. Only a LivePass reaches its encoder."""
