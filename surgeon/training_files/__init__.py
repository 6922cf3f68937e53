"""Files that a training leaves behind: pipeline.config and label maps."""
