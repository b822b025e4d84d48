"""How charts draw the kernels of this package, the same in every report: data, which is read without a kernel's module.

A kernel that is not here has a colour and a mark by its name.
"""

#: A colour on white, one on black, and a mark of `bench.report.charts`. A hue is a family: numpy blue, numba
#: green, its vector kernels orange to brown, devices red, peers grey to purple.
COLOURS = {
    "numpy": ("#1f62c4", "#5b9bf5", "square"),
    "numpy-out": ("#3f8fd6", "#9cc8fa", "diamond"),
    "numba": ("#0b7a3b", "#34b568", "circle"),
    "numba-parallel": ("#4f9b25", "#8fdc6a", "hexagon"),
    "numba-simd": ("#e06400", "#ff9440", "up"),
    "numba-simd-parallel": ("#a63a00", "#e8683a", "down"),
    "numba-simd-sparse": ("#b07f00", "#f0c440", "right"),
    "numba-simd-new": ("#5f4630", "#b8a184", "left"),
    "numba-simd-int8": ("#8c4a00", "#d9a066", "stool"),
    "cupy": ("#c80f5c", "#ff5c93", "star"),
    "cupy-plain": ("#d6478f", "#ff8fc4", "square"),
    "cupy-tf32": ("#8f1d4f", "#ff9dbf", "pentagon"),
    "cupy-fused": ("#e3122d", "#ff6b6b", "circle"),
    "cupy-fused-3xtf32": ("#b3261e", "#ff8f80", "hexagon"),
    "cupy-fused-tf32": ("#7a1f1f", "#e8a0a0", "up"),
    "cupy-fused-fp16": ("#c9432a", "#ff9b7a", "down"),
    "cupy-fused-u8": ("#a01f8a", "#f08be0", "right"),
    "cupy-fused-graph": ("#e3122d", "#ff6b6b", "square"),
    "cupy-fused-3xtf32-graph": ("#b3261e", "#ff8f80", "diamond"),
    "cupy-fused-tf32-graph": ("#7a1f1f", "#e8a0a0", "plus"),
    "cupy-fused-fp16-graph": ("#c9432a", "#ff9b7a", "cross"),
    "cupy-fused-u8-graph": ("#a01f8a", "#f08be0", "left"),
    "onnxruntime": ("#5b3fb0", "#a18cf0", "plus"),
    "onnxruntime-bound": ("#8670dd", "#c6b9ff", "cross"),
    "onnxruntime-int8": ("#33237a", "#8672e0", "bowl"),
    "torch": ("#6b7280", "#a7afba", "bar"),
    "torch-bf16": ("#4b5563", "#8b95a3", "kite"),
    "torch-tensor": ("#3f4650", "#c9ced6", "post"),
    "torch-compile": ("#8a8178", "#8c847b", "pentagon"),
    "jax": ("#8e2fa3", "#d07be3", "bow"),
    "jax-array": ("#b164c6", "#eab4f7", "glass"),
    "openvino": ("#1f2329", "#eceff3", "heart"),
    "openvino-bf16": ("#4a5058", "#b9bfc6", "flag"),
    "sklearn": ("#6e5878", "#a58db0", "drop"),
    "torch-cuda": ("#525a66", "#b7bec8", "house"),
    "torch-cuda-compile": ("#7b7168", "#a39a90", "arrow"),
    "jax-cuda": ("#a03cb8", "#dd98ee", "stairs"),
    "onnxruntime-cuda": ("#6f56c8", "#b3a2f6", "gate"),
}
