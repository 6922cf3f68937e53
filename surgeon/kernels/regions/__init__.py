"""Regions: pieces of feature maps, cropped or pooled by boxes."""
