"""In: a file with a network that somebody trained: ONNX, or the state of a PyTorch module as safetensors.

Out: its sizes, activations and parameters, or one line that says which part of it is no fully connected network.
May import: NumPy; `errors`, `params`, `reference`, `spec`, `base`; onnx and safetensors when they are needed.
"""
