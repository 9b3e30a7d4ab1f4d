"""Models as single ONNX files, which other programs read too."""
