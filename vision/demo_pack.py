"""The demo pack: a detector and an embedder for drawn faces, made by arithmetic instead of training.

Both have the input and output contract of the real models and run through the same onnxruntime path, so the whole way
from a stream to a candidate can be seen where no real model may be shipped. They know the one colour of drawn faces and
nothing else; `vision.gate` accepts them on cameras marked demo only.

    python -m vision.demo_pack FOLDER          writes the two files
    python -m vision.demo_pack FOLDER SEED     writes also what the demo city's register needs into SEED/gate.toml and gate_face.jpg
"""

from __future__ import annotations

import base64
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from vision import faces, scene
from vision.align import SIDE_PX, TEMPLATE, aligned
from vision.detect import STRIDES, Detector
from vision.embed import LENGTH, Embedder, unit

DETECTOR_FILE, EMBEDDER_FILE = "demo-face-detector.onnx", "demo-face-embedder.onnx"
IR_VERSION, OPSET = 8, 13

REACH = 8  # the detector adds up 17 x 17 cells of 8 px around each cell: faces up to 130 px
NEAR_SKIN, FAR_SKIN = 30.0, 60.0  # summed difference of the three channels: surely skin, surely not
# Fitted over all drawn faces of 32 to 110 px after JPEG: side = SIDE_SLOPE * sqrt(skin in px) + SIDE_PX_LOST, because every
# border of a mark costs a little skin; the marks on the forehead push the centre of the skin down.
SIDE_SLOPE, SIDE_PX_LOST = 1.537, 8.1
SHIFT_X_PX, SHIFT_Y_PX, SHIFT_Y_SHARE = 0.475, 2.44, 0.05
SMALLEST_PX, LARGEST_PX = 20.0, 130.0


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `build` wrote: file names and their sha256."""

    detector: str
    detector_sha256: str
    embedder: str
    embedder_sha256: str


class _Graph:
    """A list of nodes that grows; every method names and returns its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, values: NDArray | list[float] | float, kind: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def add(self, operator: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        name = to or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=f"{operator}_{len(self.nodes)}", **attributes))
        return name

    def clip(self, value: str, low: float, high: float) -> str:
        return self.add("Clip", value, self.constant(low), self.constant(high))

    def model(self, name: str, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> bytes:
        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="campus-demo")
        made.ir_version = IR_VERSION
        onnx.checker.check_model(made)
        return made.SerializeToString(deterministic=True)


def detector() -> bytes:
    """ONNX bytes of the drawn-face detector.

    Skin colour gives a mask; box sums around every cell give its area and its centre; a cell that lies in the centre of
    such an area is a face whose side follows from the area. Outputs are those of YuNet; only stride 8 ever finds.
    """
    g = _Graph()
    half = g.add("AveragePool", "input", kernel_shape=[2, 2], strides=[2, 2])
    away = g.add("Abs", g.add("Sub", half, g.constant(np.array(faces.SKIN, np.float32).reshape(1, 3, 1, 1))))
    distance = g.add("Conv", away, g.constant(np.ones((1, 3, 1, 1))))
    mask = g.clip(g.add("Div", g.add("Sub", g.constant(FAR_SKIN), distance), g.constant(FAR_SKIN - NEAR_SKIN)), 0.0, 1.0)
    cell = g.add("AveragePool", mask, kernel_shape=[4, 4], strides=[4, 4])  # share of skin of each 8 px cell

    span = np.arange(-REACH, REACH + 1, dtype=np.float32)
    ones = np.ones((2 * REACH + 1, 2 * REACH + 1), np.float32)
    kernels = np.stack([ones, ones * span[None, :], ones * span[:, None]])[:, None]
    sums = g.add("Conv", cell, g.constant(kernels), pads=[REACH] * 4)
    area, right, down = (g.add("Gather", sums, g.constant([n], np.int64), axis=1) for n in range(3))
    safe = g.add("Max", area, g.constant(1e-3))
    x, y = g.add("Div", right, safe), g.add("Div", down, safe)  # centre of the skin from the cell, in cells
    side = g.add("Add", g.add("Mul", g.add("Sqrt", safe), g.constant(8.0 * SIDE_SLOPE)), g.constant(SIDE_PX_LOST))  # px

    # A cell is the centre when the skin around it balances, when it is skin itself, and when the size is one of a face.
    off = g.add("Add", g.add("Abs", x), g.add("Abs", y))
    balanced = g.clip(g.add("Sub", g.constant(1.9), off), 0.0, 1.0)
    dense = g.add("AveragePool", cell, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    filled = g.clip(g.add("Mul", dense, g.constant(3.0)), 0.0, 1.0)
    is_large = g.clip(g.add("Sub", side, g.constant(SMALLEST_PX)), 0.0, 1.0)
    is_small = g.clip(g.add("Sub", g.constant(LARGEST_PX), side), 0.0, 1.0)
    score = g.add("Mul", g.add("Mul", balanced, filled), g.add("Mul", is_large, is_small))

    sides = g.add("Div", side, g.constant(8.0))  # in cells
    centre_x = g.add("Add", x, g.constant(0.5 - SHIFT_X_PX / 8))
    centre_y = g.add("Sub", g.add("Add", y, g.constant(0.5 - SHIFT_Y_PX / 8)), g.add("Mul", sides, g.constant(SHIFT_Y_SHARE)))
    log_side = g.add("Log", sides)
    box = g.add("Concat", centre_x, centre_y, log_side, log_side, axis=1)
    points = [
        g.add("Add", middle, g.add("Mul", sides, g.constant(float(share) - 0.5)))
        for point in TEMPLATE
        for middle, share in zip((centre_x, centre_y), point, strict=True)
    ]
    maps = {"cls": score, "obj": score, "bbox": box, "kps": g.add("Concat", *points, axis=1)}
    outputs = []
    for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride in STRIDES:
            value = maps[name]
            if stride > 8:
                factor = stride // 8
                pooled = g.add("AveragePool", value, kernel_shape=[factor, factor], strides=[factor, factor])
                value = g.add("Mul", pooled, g.constant(0.0))
            rows = g.add("Transpose", value, perm=[0, 2, 3, 1])
            g.add("Reshape", rows, g.constant([1, -1, width], np.int64), to=f"{name}_{stride}")
            outputs.append(helper.make_tensor_value_info(f"{name}_{stride}", TensorProto.FLOAT, [1, None, width]))
    return g.model("demo-face-detector", [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "height", "width"])], outputs)


def _signs() -> NDArray[np.float32]:
    """Sixteen orthogonal directions of 256 signs (rows of a Hadamard matrix): what two words share, their vectors share."""
    matrix = np.array([[1]], np.int8)
    while len(matrix) < LENGTH:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix[1 : faces.MARKS + 1].astype(np.float32)


def embedder() -> bytes:
    """ONNX bytes of the drawn-face embedder: how light each of the sixteen marks is, spread over 256 numbers."""
    g = _Graph()
    small = g.add("AveragePool", "data", kernel_shape=[4, 4], strides=[4, 4])
    cells = SIDE_PX // 4
    windows = np.zeros((faces.MARKS, 3, cells, cells), np.float32)
    for mark, (x, y, wide, high) in enumerate(faces.BLOCKS):
        # The middle of a mark only: at 40 px of face its border is blurred with its neighbour.
        columns = slice(round((x + wide * 0.25) * cells), max(round((x + wide * 0.25) * cells) + 1, round((x + wide * 0.75) * cells)))
        rows = slice(round((y + high * 0.2) * cells), max(round((y + high * 0.2) * cells) + 1, round((y + high * 0.8) * cells)))
        windows[mark, :, rows, columns] = 1.0
        windows[mark] /= windows[mark].sum()
    light = g.add("Conv", small, g.constant(windows))  # mean grey of each mark
    middle = (sum(faces.LIGHT) + sum(faces.DARK)) / 6
    marks = g.clip(g.add("Div", g.add("Sub", light, g.constant(middle)), g.constant(60.0)), -1.0, 1.0)
    flat = g.add("Reshape", marks, g.constant([-1, faces.MARKS], np.int64))
    g.add("MatMul", flat, g.constant(_signs()), to="emb")
    return g.model(
        "demo-face-embedder",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["N", 3, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info("emb", TensorProto.FLOAT, ["N", LENGTH])],
    )


def build(folder: Path) -> Manifest:
    """Write both models into `folder`; the same bytes on every machine."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, made in ((DETECTOR_FILE, detector()), (EMBEDDER_FILE, embedder())):
        part = folder / f"{name}.part"
        part.write_bytes(made)
        part.replace(folder / name)
        found[name] = hashlib.sha256(made).hexdigest()
    return Manifest(DETECTOR_FILE, found[DETECTOR_FILE], EMBEDDER_FILE, found[EMBEDDER_FILE])


def template(pack: Path) -> NDArray[np.float32]:
    """The direction of the enrolled drawn person, from three portraits of different size."""
    find, embed = Detector((pack / DETECTOR_FILE).read_bytes()), Embedder((pack / EMBEDDER_FILE).read_bytes())
    pictures = [faces.portrait(faces.words()[scene.ENROLLED], side=side) for side in (84, 96, 112)]
    return unit(np.mean([embed.embed(aligned(picture, find.find(picture)[0].points)) for picture in pictures], axis=0))


def write_seed(pack: Manifest, folder: Path, seed: Path) -> None:
    """Write the constants the demo city needs: data may not import vision, so they are kept as files and compared by a test."""
    numbers = base64.b64encode(template(folder).astype("<f4").tobytes()).decode()
    lines = (
        "# Written by `python -m vision.demo_pack FOLDER data/demo`; a test compares it with what the script makes.",
        f'detector_sha256 = "{pack.detector_sha256}"',
        f'embedder_sha256 = "{pack.embedder_sha256}"',
        f'template_f32 = "{numbers}"',
    )
    (seed / "gate.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    portrait = faces.portrait(faces.words()[scene.ENROLLED], side=120)
    (seed / "gate_face.jpg").write_bytes(cv2.imencode(".jpg", portrait, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())


if __name__ == "__main__":
    made = build(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        write_seed(made, Path(sys.argv[1]), Path(sys.argv[2]))
