"""The face_verify client. Only a LivePass reaches its encoder.

Nothing is imported here: `pipeline.match.client` brings the HTTP library, and liveness mode must not.
"""
