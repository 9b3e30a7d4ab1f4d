"""Models as single files that other programs read too: ONNX, and programs of torch.export."""
