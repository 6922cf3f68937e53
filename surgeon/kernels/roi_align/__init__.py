"""RoiAlign: samples of regions of a feature map, averaged or compared."""
