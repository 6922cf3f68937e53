"""Mask R-CNN as Matterport's Keras code makes it."""

from surgeon.families.matterport.detector import MatterportMaskRcnn

FAMILY = MatterportMaskRcnn
