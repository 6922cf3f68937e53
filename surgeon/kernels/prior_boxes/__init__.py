"""Prior boxes: anchors of one feature map, their sizes in pixels of the picture."""
