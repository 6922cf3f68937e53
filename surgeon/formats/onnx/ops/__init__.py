"""Operations of TensorFlow that tf2onnx converts wrongly or not at all; discovery finds each file here."""
