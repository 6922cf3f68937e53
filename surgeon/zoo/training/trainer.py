"""Training of the demo model: batches of generated pictures, the loss, and the loop."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from surgeon.atomic import make_folder, write_text
from surgeon.optional import require
from surgeon.runners.image import resize
from surgeon.zoo.demo.pictures import CLASSES, make_picture
from surgeon.zoo.options import SsdOptions
from surgeon.zoo.ssd import write_ssd
from surgeon.zoo.training.evaluation import Evaluation, evaluate, fresh_pictures
from surgeon.zoo.training.network import TrainableNetwork
from surgeon.zoo.training.targets import anchors, decode, targets

OPTIONS = SsdOptions(date="2018", classes=len(CLASSES), depth_multiplier=15 / 64, score_threshold=1e-8)
"""What the demo model is: a little under quarter width, so that the file is under 2 MB."""

_log = logging.getLogger(__name__)

_WAIT = 120.0
"""Seconds after which a picture that does not come is an error."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: the learning rate rises over ``warmup`` steps and falls as a cosine.

    ``new_pictures`` enter the pool at each step, ``first_pictures`` before the first; ``pool`` is how many
    are kept.
    """

    steps: int = 4000
    batch: int = 16
    rate: float = 3e-3
    warmup: int = 200
    weight_decay: float = 1e-4
    first_pictures: int = 400
    new_pictures: int = 6
    pool: int = 9000

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        return (
            self.rate * min(1.0, (step + 1) / self.warmup) * 0.5 * (1 + math.cos(math.pi * step / self.steps))
            + 1e-5
        )


Sample = tuple[np.ndarray, np.ndarray, np.ndarray]


def sample(anchors: np.ndarray, seed: int, index: int) -> Sample:
    """Return a picture, uint8[300, 300, 3], and its target: int8[P] and float16[P, 4].

    Every second one mirrored.
    """
    picture = make_picture(seed, index)
    size = (OPTIONS.height, OPTIONS.width)
    pixels = np.rint(resize(picture.pixels[None], size, "tf1-bilinear")[0]).astype(np.uint8)
    boxes = picture.boxes
    if index % 2:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
        boxes = np.stack([boxes[:, 0], 1 - boxes[:, 3], boxes[:, 2], 1 - boxes[:, 1]], 1)
    target = targets(anchors, boxes, picture.labels)
    return pixels, target.label, target.encoding.astype(np.float16)


def _fill(queue: Any, anchors: np.ndarray, seed: int, count: int) -> None:
    for index in range(count):
        queue.put(sample(anchors, seed, index))


def batches(schedule: Schedule, seed: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield for every step uint8[N, 300, 300, 3], int8[N, P] and float16[N, P, 4], drawn from a pool that is
    renewed.

    Pictures are made in a process of their own; which ones a batch holds depends on the seed alone.
    """
    random = np.random.default_rng([seed, 1])
    boxes = anchors(OPTIONS)
    context = get_context("spawn")
    queue = context.Queue(4 * schedule.batch)
    total = schedule.first_pictures + schedule.steps * schedule.new_pictures
    process = context.Process(target=_fill, args=(queue, boxes, seed, total), daemon=True)
    process.start()
    pool: list[Sample] = []
    try:
        for step in range(schedule.steps):
            for _ in range(schedule.new_pictures + (schedule.first_pictures if step == 0 else 0)):
                item = queue.get(timeout=_WAIT)
                if len(pool) < schedule.pool:
                    pool.append(item)
                else:
                    pool[int(random.integers(schedule.pool))] = item
            chosen = [pool[i] for i in random.integers(len(pool), size=schedule.batch)]
            yield tuple(np.stack(part) for part in zip(*chosen, strict=True))
    finally:
        process.terminate()


def step_of(network: TrainableNetwork, schedule: Schedule) -> Callable[..., Any]:
    """Return the function of one step: pictures, labels, encodings and learning rate to class and box loss.

    The classes have a focal loss (Lin et al. 2017, gamma 2, both classes weighed alike) on independent
    scores, the background's included in none; boxes have a smooth L1 loss. Both are divided by the number of
    matched anchors. The background's own column, which the frozen graph slices off, learns whether there is
    nothing.
    """
    tf: Any = require("tensorflow", "training a detector")
    optimizer = tf.keras.optimizers.AdamW(learning_rate=schedule.rate, weight_decay=schedule.weight_decay)
    optimizer.build(network.trainable)
    labels_of = network.options.classes + 1

    def step(pictures: Any, labels: Any, encodings: Any, rate: Any) -> Any:
        labels, encodings = tf.cast(labels, tf.int32), tf.cast(encodings, tf.float32)
        with tf.GradientTape() as tape:
            boxes, logits = network(pictures, training=True)
            wanted = tf.one_hot(tf.maximum(labels, 0), labels_of)
            entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=wanted, logits=logits)
            right = wanted * tf.sigmoid(logits) + (1 - wanted) * (1 - tf.sigmoid(logits))
            focal = 0.5 * entropy * (1 - right) ** 2
            counted, matched = tf.cast(labels >= 0, tf.float32), tf.cast(labels > 0, tf.float32)
            number = tf.maximum(tf.reduce_sum(matched), 1.0)
            classes = tf.reduce_sum(tf.reduce_sum(focal[..., 1:], -1) * counted) / number
            gap = tf.abs(boxes - encodings)
            smooth = tf.reduce_sum(tf.where(gap < 1, 0.5 * gap * gap, gap - 0.5), -1)
            places = tf.reduce_sum(smooth * matched) / number
            background = tf.reduce_mean(entropy[..., 0] * counted)
            loss = 2 * classes + places + 0.1 * background
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, network.trainable), 10.0)
        optimizer.learning_rate.assign(rate)
        optimizer.apply_gradients(zip(gradients, network.trainable, strict=True))
        return classes, places

    compiled: Callable[..., Any] = tf.function(step)
    return compiled


def detector(network: TrainableNetwork) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return the network as it stands as a function from a picture to boxes, scores and labels."""
    tf: Any = require("tensorflow", "running a detector")
    centred = anchors(network.options)
    infer = tf.function(lambda pictures: network(pictures, training=False))

    def detect(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        resized = resize(pixels[None], (network.options.height, network.options.width), "tf1-bilinear")
        encodings, logits = (part.numpy()[0] for part in infer(tf.constant(resized)))
        boxes = np.clip(decode(encodings, centred), 0, 1)
        scores = 1 / (1 + np.exp(-logits[:, 1:]))
        kept = [
            tf.image.non_max_suppression(boxes, column, 100, network.options.iou_threshold, 0.01).numpy()
            for column in scores.T
        ]
        index, labels = (
            np.concatenate(kept),
            np.repeat(np.arange(1, len(kept) + 1), [len(rows) for rows in kept]),
        )
        return boxes[index], scores[index, labels - 1], labels

    return detect


def train(
    folder: Path,
    seed: int = 0,
    schedule: Schedule = Schedule(),
    evaluated: int = 100,
    width: float = OPTIONS.depth_multiplier,
) -> Evaluation | None:
    """Train a network and write ``model.pb`` and ``log.json`` to a folder; return the evaluation on fresh
    pictures.

    The same seed gives the same pictures, batches and first weights; operations are TensorFlow's
    deterministic ones. ``evaluated`` pictures measure the progress every 1,000 steps and four times as many
    the result; none for 0. ``width`` multiplies the channels of MobileNet v1. Raise SurgeonError E108
    where TensorFlow is missing and E105 where the folder cannot be written.
    """
    tf: Any = require("tensorflow", "training a detector")
    tf.config.experimental.enable_op_determinism()
    tf.keras.utils.set_random_seed(seed)
    make_folder(folder)
    options = replace(OPTIONS, depth_multiplier=width)
    network = TrainableNetwork(options, seed)
    step = step_of(network, schedule)
    log: dict[str, Any] = {
        "seed": seed,
        "width": width,
        "schedule": asdict(schedule),
        "losses": [],
        "evaluations": [],
    }
    begin, sums, last = time.monotonic(), np.zeros(2), None
    for number, (pictures, labels, encodings) in enumerate(batches(schedule, seed)):
        losses = step(pictures, labels, encodings, tf.constant(schedule.rate_at(number), tf.float32))
        sums += [float(loss) for loss in losses]
        done = number + 1
        if done % 100 == 0 or done == schedule.steps:
            count = 100 if done % 100 == 0 else done % 100
            log["losses"].append(
                {
                    "step": done,
                    "seconds": round(time.monotonic() - begin),
                    "class": round(sums[0] / count, 4),
                    "box": round(sums[1] / count, 4),
                }
            )
            _log.info("%s", json.dumps(log["losses"][-1]))
            sums[:] = 0
        if evaluated and (done % 1000 == 0 or done == schedule.steps):
            count = 4 * evaluated if done == schedule.steps else evaluated
            last = evaluate(detector(network), fresh_pictures(count))
            log["evaluations"].append({"step": done, **last.to_json()})
            _log.info("%s", json.dumps(log["evaluations"][-1]))
            write_ssd(folder / "model.pb", options, network.values)
    log["seconds"] = round(time.monotonic() - begin)
    log["cores"] = os.cpu_count()
    write_ssd(folder / "model.pb", options, network.values)
    write_text(folder / "log.json", json.dumps(log, indent=1) + "\n")
    return last
