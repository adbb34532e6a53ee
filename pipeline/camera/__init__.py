"""Sources of frames: device, file, folder, stream."""
