"""The names by which exporters of both TensorFlows call backbones."""

from __future__ import annotations

import pytest

from surgeon.families.parts.backbone import named_backbone
from surgeon.graph import Graph, Node


@pytest.mark.parametrize(
    ("name", "backbone"),
    [
        ("FeatureExtractor/MobilenetV1/Conv", "mobilenet_v1"),
        ("FeatureExtractor/resnet_v1_50/conv1", "resnet_v1_50"),
        ("StatefulPartitionedCall/StatefulPartitionedCall/EfficientDet-D0/model/stem", "efficientdet_d0"),
        ("StatefulPartitionedCall/ResNet50V1_FPN/model/conv1", "resnet_v1_50"),
        ("StatefulPartitionedCall/ssd_mobile_net_v2_fpn_keras_feature_extractor/Conv1", "mobilenet_v2"),
        ("StatefulPartitionedCall/center_net_hourglass_feature_extractor/conv", "hourglass"),
        ("StatefulPartitionedCall/center_net_mobile_net_v2fpn_feature_extractor/conv", "mobilenet_v2"),
    ],
)
def test_names_of_both_tensorflows(name: str, backbone: str) -> None:
    found = named_backbone(Graph([Node(name, "Relu")]), {name})
    assert found is not None and found.value == backbone


def test_other_names_are_none() -> None:
    assert named_backbone(Graph([Node("model/conv", "Relu")]), {"model/conv"}) is None
