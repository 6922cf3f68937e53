"""The genuine UFF parser accepts what is exported. Needs a GPU and TensorRT 8.x; `bench/hardware.py` goes further."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("date", ["2017", "2018", "2019"])
def test_the_parser_accepts_each_date(tmp_path: Path, date: str) -> None:
    trt = pytest.importorskip("tensorrt", reason="TensorRT is not installed")
    if not hasattr(trt, "UffParser"):
        pytest.skip("this TensorRT has no UFF parser (8.6 is the last)")
    logger = trt.Logger(trt.Logger.ERROR)
    trt.init_libnvinfer_plugins(logger, "")
    try:
        builder = trt.Builder(logger)
    except (TypeError, RuntimeError):
        pytest.skip("there is no GPU: TensorRT makes no builder")
    import surgeon
    from surgeon.zoo import SsdOptions, write_ssd

    model = write_ssd(tmp_path / "ssd.pb", SsdOptions(date=date))  # type: ignore[arg-type]
    surgeon.convert("ssd", model, tmp_path / "ssd.uff")
    network = builder.create_network()
    parser = trt.UffParser()
    parser.register_input("Input", (3, 300, 300))
    parser.register_output("MarkOutput_0")
    assert parser.parse(str(tmp_path / "ssd.uff"), network)
    shapes = {
        network.get_output(i).name: tuple(network.get_output(i).shape) for i in range(network.num_outputs)
    }
    assert shapes["NMS"] == (1, 100, 7)
