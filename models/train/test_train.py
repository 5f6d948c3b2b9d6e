"""Tests of what training is made of, with NumPy, TensorFlow and pycocotools: `./build.sh train` runs them first."""

import io
import json
import tempfile
import unittest
import zipfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from flatbuffers import flexbuffers

import anchors
import crops
import evaluate
import layers
import losses
import networks
import tflite_file
from dataset import DrawnSet
from scene import CLASSES, HEIGHT, WIDTH


def written_set(folder, frames, notes, height=HEIGHT, width=WIDTH):
    """A hand-made set: images whose bytes are the frame's number; notes are (frame, class, ignored, box)."""
    images = np.zeros((frames, height, width, 3), np.uint8) + np.arange(frames, dtype=np.uint8)[:, None, None, None]
    images.tofile(Path(folder) / "images.u8")
    truth = {
        "images": [{"id": n, "width": 1280, "height": 720, "file_name": f"{n}.png"} for n in range(frames)],
        "annotations": [{"id": n + 1, "image_id": frame, "category_id": label, "iscrowd": ignored, "bbox": box,
                         "area": box[2] * box[3]} for n, (frame, label, ignored, box) in enumerate(notes)],
        "categories": [{"id": n + 1, "name": name} for n, name in enumerate(CLASSES)],
    }
    (Path(folder) / "truth.json").write_text(json.dumps(truth))


class Anchors(unittest.TestCase):
    def test_bytes_lose_nothing(self):
        np.testing.assert_allclose(anchors.as_bytes() / anchors.SCALE, anchors.anchors(), atol=1e-6)

    def test_places_and_number(self):
        rows = anchors.anchors()
        self.assertEqual(rows.shape, (3 * (40 * 24 + 20 * 12 + 10 * 6), 4))
        np.testing.assert_allclose(rows[0, :2], [4 / HEIGHT, 4 / WIDTH], rtol=1e-6)
        np.testing.assert_allclose(rows[3, :2], [4 / HEIGHT, 12 / WIDTH], rtol=1e-6)
        np.testing.assert_allclose(rows[-1, :2], [1 - 16 / HEIGHT, 1 - 16 / WIDTH], rtol=1e-6)
        self.assertEqual(len(anchors.anchors_of(len(rows) // 4)), len(rows) // 4)

    def test_decoding_undoes_coding(self):
        random = np.random.default_rng(1)
        low = random.uniform(0, 0.8, (3780, 2))
        boxes = np.concatenate([low, low + random.uniform(0.01, 0.2, (3780, 2))], 1)
        codes = anchors.encode(boxes, anchors.anchors())
        np.testing.assert_allclose(anchors.decode(codes, anchors.anchors()), boxes, atol=1e-6)

    def test_the_anchor_itself_is_code_zero(self):
        rows = anchors.anchors()[:100]
        boxes = np.concatenate([rows[:, :2] - rows[:, 2:] / 2, rows[:, :2] + rows[:, 2:] / 2], 1)
        np.testing.assert_allclose(anchors.encode(boxes, rows), 0, atol=1e-4)


class Matching(unittest.TestCase):
    def matched(self, boxes, classes):
        found = losses.match(tf.constant(anchors.anchors()), tf.constant(boxes, tf.float32)[None],
                             tf.constant(classes, tf.int32)[None])
        return [value[0].numpy() for value in found]

    def test_every_object_has_anchors_of_its_class(self):
        boxes = [[0.1, 0.1, 0.5, 0.2], [0.6, 0.3, 0.68, 0.33], [0.2, 0.4, 0.9, 0.95], [0, 0, 0, 0]]
        truth, target, weight = self.matched(boxes, [1, 5, 4, 0])
        for box, label in zip(boxes, [1, 5, 4]):
            mine = (target[:, label - 1] > 0) & np.all(np.isclose(truth, box), 1)
            self.assertTrue(1 <= mine.sum() <= losses.ANCHORS_OF_OBJECT)
        self.assertLessEqual(target.sum(), 3 * losses.ANCHORS_OF_OBJECT)
        self.assertTrue(np.all(weight == 1))

    def test_the_best_anchor_is_taken(self):
        row = anchors.anchors()[1500]
        box = np.concatenate([row[:2] - row[2:] / 2, row[:2] + row[2:] / 2])
        _, target, _ = self.matched([box], [3])
        self.assertEqual(target[1500, 2], 1)

    def test_ignored_objects_count_neither_way(self):
        _, target, weight = self.matched([[0.1, 0.1, 0.5, 0.2]], [-1])
        self.assertEqual(target.sum(), 0)
        self.assertTrue(1 <= np.sum(weight == 0) <= losses.ANCHORS_OF_OBJECT)

    def test_nothing_matches_nothing(self):
        _, target, weight = self.matched([[0, 0, 0, 0]], [0])
        self.assertEqual(target.sum(), 0)
        self.assertTrue(np.all(weight == 1))

    def test_overlaps_agree(self):
        random = np.random.default_rng(2)
        low = random.uniform(0, 1, (50, 2))
        boxes = np.concatenate([low, low + random.uniform(0.1, 0.5, (50, 2))], 1)
        for box in boxes[:5]:
            np.testing.assert_allclose(losses.overlap(tf.constant(box)[None], tf.constant(boxes)),
                                       evaluate.overlaps(box, boxes), atol=1e-6)


class YoloRows(unittest.TestCase):
    def test_a_half_everywhere_is_the_anchor_in_its_cell(self):
        slope, offset, size = networks.yolo_rows()
        rows = anchors.anchors()
        np.testing.assert_allclose((0.5 * slope + offset)[0], rows[:, 1::-1], atol=1e-6)
        np.testing.assert_allclose((0.25 * size)[0], rows[:, 3:1:-1], atol=1e-6)


class Layers(unittest.TestCase):
    def test_sixes(self):
        self.assertEqual([layers.sixes(n) for n in (1, 8, 12, 16, 48, 80, 160)], [6, 12, 12, 18, 48, 78, 162])

    def test_one_scale_a_tensor(self):
        w = np.random.default_rng(3).normal(size=(3, 3, 8, 4)).astype(np.float32)
        rounded = layers.per_tensor(tf.constant(w)).numpy()
        steps = rounded / (np.abs(w).max() / 127)
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
        self.assertLessEqual(np.abs(rounded - w).max(), np.abs(w).max() / 254 + 1e-6)

    def test_folding_changes_little(self):
        net = networks.ResNet18(1)
        x = tf.constant(np.random.default_rng(4).uniform(-1, 1, (8, 64, 64, 3)).astype(np.float32))
        before = net(x).numpy()
        net.fold({name: variable.numpy() for name, variable in net.weights.items()}, [x])
        self.assertFalse(any(name.endswith("/g") for name in net.weights))
        # Without rounding: as an export has it.
        net.values = {name: variable.numpy() for name, variable in net.weights.items()}
        np.testing.assert_allclose(net(x).numpy(), before, atol=1e-3)


class Sets(unittest.TestCase):
    def test_boxes_are_read(self):
        with tempfile.TemporaryDirectory() as folder:
            written_set(folder, 3, [(0, 2, 0, [128, 72, 640, 360]), (2, 1, 1, [0, 0, 64, 72])])
            drawn = DrawnSet(folder)
            np.testing.assert_allclose(drawn.boxes[0, 0], [0.1, 0.1, 0.6, 0.6], atol=1e-6)
            self.assertEqual(drawn.classes[:, 0].tolist(), [2, 0, -1])

    def test_letterboxed_sets_have_bars(self):
        with tempfile.TemporaryDirectory() as folder:
            written_set(folder, 1, [(0, 1, 0, [0, 0, 1280, 720])])
            drawn = DrawnSet(folder, content=[6 / 192, 0, 186 / 192, 1])
            np.testing.assert_allclose(drawn.boxes[0, 0], [6 / 192, 0, 186 / 192, 1], atol=1e-6)

    def test_a_set_that_is_cut_off_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            written_set(folder, 2, [])
            with open(Path(folder) / "images.u8", "r+b") as images:
                images.truncate(1000)
            with self.assertRaisesRegex(ValueError, "1000 bytes"):
                DrawnSet(folder)

    def test_batches_follow_from_the_step(self):
        with tempfile.TemporaryDirectory() as folder:
            written_set(folder, 9, [(n, 1, 0, [100 * n, 72, 128, 72]) for n in range(9)])
            drawn = DrawnSet(folder)
            for make in (drawn.batch, drawn.half_batch):
                for a, b in zip(make(5, 4, 1), make(5, 4, 1)):
                    np.testing.assert_array_equal(a, b)
            # Two batches of four are eight different frames.
            seen = [int(image[0, 0, 0]) for step in (0, 1) for image in drawn.batch(step, 4, 1)[0]]
            self.assertEqual(len(set(seen)), 8)

    def test_mirrored_frames_have_mirrored_boxes(self):
        with tempfile.TemporaryDirectory() as folder:
            written_set(folder, 4, [(n, 1, 0, [0, 72, 128, 72]) for n in range(4)])
            _, boxes, _ = DrawnSet(folder).batch(0, 4, 1)
            lefts = {round(float(left), 3) for left in boxes[:, 0, 1]}
            self.assertLessEqual(lefts, {0.0, 0.9})

    def test_background_crops_touch_nothing(self):
        boxes = np.array([[100.0, 100, 200, 150]])
        self.assertTrue(crops.touches(np.array([150, 120]), 40, boxes))
        self.assertFalse(crops.touches(np.array([150, 220]), 40, boxes))


class Scores(unittest.TestCase):
    def drawn(self, folder):
        written_set(folder, 2, [(0, 1, 0, [128, 72, 256, 288]), (0, 2, 0, [640, 72, 256, 288]),
                                (1, 1, 0, [128, 72, 256, 288]), (1, 3, 1, [640, 72, 256, 288])])
        return DrawnSet(folder)

    def test_the_truth_is_perfect_and_ignored_boxes_cost_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            drawn = self.drawn(folder)
            person, other = [0.1, 0.1, 0.5, 0.3], [0.1, 0.5, 0.5, 0.7]
            answers = [(np.array([person, other]), np.array([0, 1]), np.array([0.9, 0.8]))] * 2
            answers[1] = (np.array([person, other]), np.array([0, 2]), np.array([0.9, 0.8]))
            figures = evaluate.coco_figures(drawn, answers)
            self.assertAlmostEqual(figures["map"], 1.0)
            self.assertAlmostEqual(figures["map50"], 1.0)

    def test_half_is_half(self):
        with tempfile.TemporaryDirectory() as folder:
            drawn = self.drawn(folder)
            answers = [(np.array([[0.1, 0.1, 0.5, 0.3]]), np.array([0]), np.array([0.9]))] * 2
            self.assertAlmostEqual(evaluate.coco_figures(drawn, answers)["map50"], 0.5)

    def test_suppression_is_class_by_class(self):
        boxes = np.array([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.49], [0.6, 0.6, 0.9, 0.9]])
        scores = np.array([[0.9, 0.1], [0.8, 0.7], [0.3, 0.0]])
        _, classes, found = evaluate.suppressed(boxes, scores)
        self.assertEqual(list(zip(classes.tolist(), found.tolist())), [(0, 0.9), (1, 0.7), (0, 0.3)])


class Files(unittest.TestCase):
    def test_labels_are_behind_the_model(self):
        with zipfile.ZipFile(io.BytesIO(b"model" + tflite_file.archive(CLASSES))) as files:
            self.assertEqual(files.read("labels.txt").decode().split(), CLASSES)
        self.assertEqual(tflite_file.archive(CLASSES), tflite_file.archive(CLASSES))

    def test_options_can_be_read_back(self):
        packed = flexbuffers.Dumps(tflite_file.POST_PROCESS_OPTIONS)
        self.assertEqual(flexbuffers.Loads(packed), tflite_file.POST_PROCESS_OPTIONS)

    def test_metadata_has_its_mark(self):
        self.assertEqual(tflite_file.metadata("x", 4, 1, tflite_file.VALUE_LABELS)[4:8], b"M001")


if __name__ == "__main__":
    unittest.main()
