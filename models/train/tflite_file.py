"""Changes to converted .tflite files: the anchors, the operator that decodes boxes, names, labels.

Source of the formats: TensorFlow's schema of `.tflite` files (as generated code in the package) and the schema of model
metadata (`metadata_schema.fbs`), whose field numbers stand at each use below.
"""

import io
import zipfile

import flatbuffers
from flatbuffers import flexbuffers
from tensorflow.lite.python import schema_py_generated as schema

import anchors
from scene import CLASSES

POST_PROCESS = "TFLite_Detection_PostProcess"
# Class by class, because a rider overlaps the bicycle.
POST_PROCESS_OPTIONS = {
    "max_detections": 40, "max_classes_per_detection": 1, "detections_per_class": 40, "use_regular_nms": True,
    "nms_score_threshold": 0.02, "nms_iou_threshold": 0.6, "num_classes": len(CLASSES),
    "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0,
}
AXIS_LABELS, VALUE_LABELS = 2, 3


class TfliteFile:
    """A converted model in memory."""

    def __init__(self, converted, input_name="image"):
        self.model = schema.ModelT.InitFromPackedBuf(converted, 0)
        self.graph = self.model.subgraphs[0]
        # Signatures name tensors that may be outputs no more; nothing here is called by signature.
        self.model.signatureDefs = None
        self.tensor(self.graph.inputs[0]).name = input_name.encode()

    def tensor(self, index):
        return self.graph.tensors[index]

    def output(self, shape):
        """The output of this shape."""
        [found] = [index for index in self.graph.outputs if list(self.tensor(index).shape) == list(shape)]
        return found

    def _add_tensor(self, name, shape, dtype, data=None, scale=None):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name.encode(), shape, dtype
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = memoryview(data).cast("B")
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [0]
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def add_anchors(self):
        """The anchors as a constant of the type that the boxes have."""
        rows = anchors.anchors()
        boxes = self.output([1, len(rows), 4])
        if self.tensor(boxes).type == schema.TensorType.FLOAT32:
            return boxes, self._add_tensor("anchors", list(rows.shape), schema.TensorType.FLOAT32, rows.tobytes())
        return boxes, self._add_tensor("anchors", list(rows.shape), schema.TensorType.UINT8,
                                       anchors.as_bytes().tobytes(), 1 / anchors.SCALE)

    def raw_heads(self):
        """Outputs: box codes, scores (the background first), anchors."""
        boxes, of = self.add_anchors()
        scores = self.output([1, len(anchors.anchors()), 1 + len(CLASSES)])
        for index, name in [(boxes, "boxes"), (scores, "scores")]:
            self.tensor(index).name = name.encode()
        self.graph.outputs = [boxes, scores, of]

    def post_process(self):
        """Outputs: boxes, classes, scores, count, made by TensorFlow Lite's own operator."""
        boxes, of = self.add_anchors()
        scores = self.output([1, len(anchors.anchors()), 1 + len(CLASSES)])
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode, code.version = POST_PROCESS.encode(), 1
        self.model.operatorCodes.append(code)
        slots = POST_PROCESS_OPTIONS["max_detections"]
        shapes = [[1, slots, 4], [1, slots], [1, slots], [1]]
        names = [POST_PROCESS] + [f"{POST_PROCESS}:{n}" for n in (1, 2, 3)]
        self.graph.outputs = [self._add_tensor(name, shape, schema.TensorType.FLOAT32)
                              for name, shape in zip(names, shapes)]
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = [boxes, scores, of], list(self.graph.outputs)
        operator.customOptions = list(flexbuffers.Dumps(POST_PROCESS_OPTIONS))
        self.graph.operators.append(operator)

    def rename_output(self, name):
        """The only output's name."""
        [output] = self.graph.outputs
        self.tensor(output).name = name.encode()

    def packed(self, description, labels, labelled, kind):
        """The file's bytes. `labelled`: the place among the outputs whose numbers (`VALUE_LABELS`) or whose last axis
        (`AXIS_LABELS`) the labels are for."""
        self.model.description = "Spotter's demo model, converted by TensorFlow Lite"
        entry = schema.MetadataT()
        entry.name = b"TFLITE_METADATA"
        buffer = schema.BufferT()
        buffer.data = list(metadata(description, len(self.graph.outputs), labelled, kind))
        self.model.buffers.append(buffer)
        entry.buffer = len(self.model.buffers) - 1
        kept = [known for known in self.model.metadata or [] if known.name != b"CONVERSION_METADATA"]
        self.model.metadata = kept + [entry]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output()) + archive(labels)


def metadata(description, outputs, labelled, kind):
    """A ModelMetadata flatbuffer that names the label file."""
    builder = flatbuffers.Builder(1024)

    def table(fields):
        """A table of strings and offsets (number → offset) and bytes (number → int)."""
        builder.StartObject(max(fields) + 1)
        for number, value in fields.items():
            if isinstance(value, tuple):
                builder.PrependInt8Slot(number, value[0], 0)
            else:
                builder.PrependUOffsetTRelativeSlot(number, value, 0)
        return builder.EndObject()

    def vector(items):
        builder.StartVector(4, len(items), 4)
        for item in reversed(items):
            builder.PrependUOffsetTRelative(item)
        return builder.EndVector()

    # AssociatedFile: 0 name, 2 type. TensorMetadata: 6 associated files. SubGraphMetadata: 3 outputs.
    # ModelMetadata: 0 name, 1 description, 2 version, 3 subgraphs, 5 licence, 7 oldest parser.
    name = builder.CreateString("labels.txt")
    files = vector([table({0: name, 2: (kind,)})])
    names = [builder.CreateString(f"output {number}") for number in range(outputs)]
    tensors = [table({0: names[number], 6: files} if number == labelled else {0: names[number]})
               for number in range(outputs)]
    subgraphs = vector([table({3: vector(tensors)})])
    strings = {number: builder.CreateString(text) for number, text in
               [(0, "Spotter demo"), (1, description), (2, "1"), (5, "Apache-2.0"), (7, "1.0.0")]}
    builder.Finish(table(strings | {3: subgraphs}), b"M001")
    return bytes(builder.Output())


def archive(labels):
    """A zip archive with `labels.txt`, to stand behind the model; the same labels give the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as files:
        entry = zipfile.ZipInfo("labels.txt", (1980, 1, 1, 0, 0, 0))
        files.writestr(entry, "".join(f"{label}\n" for label in labels))
    return packed.getvalue()
