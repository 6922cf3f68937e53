"""Files that hold graphs, side by side: GraphDef, UFF and ONNX."""
