"""Files as they run: in ONNX Runtime and OpenVINO, and how long that takes."""
