"""Sequences: recurrent taggers and readers, sound, language, tables of words."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from structures.net import Net, Tensor, control_flow, structure, v1


class Lstm:
    """An LSTM cell as BasicLSTMCell writes it."""

    def __init__(
        self, net: Net, inputs: int, units: int, name: str = "lstm_cell", forget: float = 1.0
    ) -> None:
        self.name, self.forget = name, forget
        self.output_size, self.state_size = units, (units, units)
        self.kernel = net.weights((inputs + units, 4 * units), f"{name}/kernel", 0.4)
        self.bias = net.bias(4 * units, f"{name}/bias")

    def zero_state(self, batch: Any, dtype: Any) -> tuple[Tensor, Tensor]:
        """Return zeros, float32[batch, units] twice."""
        zeros = tf.zeros(tf.stack([batch, self.output_size]), dtype)
        return zeros, tf.identity(zeros)

    def __call__(self, x: Tensor, state: tuple[Tensor, Tensor], scope: Any = None) -> tuple[Tensor, Any]:
        with v1.name_scope(self.name):
            cell, hidden = state
            gates = tf.nn.bias_add(tf.matmul(tf.concat([x, hidden], 1), self.kernel), self.bias)
            i, j, f, o = tf.split(gates, 4, 1)
            cell = cell * tf.sigmoid(f + self.forget) + tf.sigmoid(i) * tf.tanh(j)
            hidden = tf.tanh(cell) * tf.sigmoid(o)
            return hidden, (cell, hidden)


class Gru:
    """A GRU cell as GRUCell writes it."""

    def __init__(self, net: Net, inputs: int, units: int, name: str = "gru_cell") -> None:
        self.name = name
        self.output_size = self.state_size = units
        self.gates = net.weights((inputs + units, 2 * units), f"{name}/gates/kernel", 0.4)
        self.gates_bias = net.bias(2 * units, f"{name}/gates/bias", 1.0)
        self.candidate = net.weights((inputs + units, units), f"{name}/candidate/kernel", 0.4)
        self.candidate_bias = net.bias(units, f"{name}/candidate/bias")

    def zero_state(self, batch: Any, dtype: Any) -> Tensor:
        """Return zeros, float32[batch, units]."""
        return tf.zeros(tf.stack([batch, self.output_size]), dtype)

    def __call__(self, x: Tensor, state: Tensor, scope: Any = None) -> tuple[Tensor, Tensor]:
        with v1.name_scope(self.name):
            gates = tf.nn.bias_add(tf.matmul(tf.concat([x, state], 1), self.gates), self.gates_bias)
            r, u = tf.split(tf.sigmoid(gates), 2, 1)
            candidate = tf.matmul(tf.concat([x, r * state], 1), self.candidate)
            state = u * state + (1 - u) * tf.tanh(tf.nn.bias_add(candidate, self.candidate_bias))
            return state, state


def embedded(net: Net, ids: Tensor, rows: int = 20, size: int = 8, name: str = "embeddings") -> Tensor:
    """Return the rows of a table of words."""
    return tf.nn.embedding_lookup(net.weights((rows, size), name, 0.5), ids, name="embedding_lookup")


@structure("LSTM tagger: dynamic_rnn over word vectors, a softmax at each step")
def lstm_tagger(net: Net) -> Tensor:
    ids = net.placeholder("word_ids", [None, 6], [1, 6], tf.int32, high=19)
    states, _ = v1.nn.dynamic_rnn(Lstm(net, 8, 6), embedded(net, ids), dtype=tf.float32)
    flat = tf.reshape(states, [-1, 6])
    return tf.nn.softmax(tf.reshape(net.dense(flat, 5, name="proj"), [-1, 6, 5]), name="tags")


@structure("LSTM of a fixed length whose last state is classified")
def lstm_last(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 5, 4], [1, 5, 4], low=-1)
    states, _ = v1.nn.dynamic_rnn(Lstm(net, 4, 6), x, dtype=tf.float32)
    last = tf.gather(tf.transpose(states, [1, 0, 2]), 4)
    return tf.nn.softmax(net.dense(last, 3), name="y_")


@structure("Bidirectional LSTM with lengths: NER taggers")
def bilstm_tagger(net: Net) -> Tensor:
    ids = net.placeholder("word_ids", [None, None], [2, 6], tf.int32, high=19)
    lengths = net.placeholder("sequence_lengths", [None], [2], tf.int32, low=1, high=6)
    x = embedded(net, ids)
    forward, backward = Lstm(net, 8, 5, "fw"), Lstm(net, 8, 5, "bw")
    both, _ = v1.nn.bidirectional_dynamic_rnn(forward, backward, x, lengths, dtype=tf.float32)
    x = tf.concat(both, -1)
    steps = tf.shape(x)[1]
    return tf.reshape(net.dense(tf.reshape(x, [-1, 10]), 4, name="proj"), tf.stack([-1, steps, 4]), "logits")


@structure("GRU over features, its last state classified")
def gru_classifier(net: Net) -> Tensor:
    x = net.placeholder("features", [None, 7, 4], [2, 7, 4], low=-1)
    _, state = v1.nn.dynamic_rnn(Gru(net, 4, 6), x, dtype=tf.float32)
    return tf.nn.softmax(net.dense(state, 3, name="logits"), name="prob")


@structure("Two stacked LSTMs, time first, dropout between them by keep_prob")
def stacked_lstm(net: Net) -> Tensor:
    x = net.placeholder("inputs", [5, 1, 4], [5, 1, 4], low=-1)
    keep = net.fixed("keep_prob", 1.0, tf.float32)
    for index, inputs in enumerate((4, 6)):
        cell = Lstm(net, inputs, 6, f"cell_{index}")
        x, _ = v1.nn.dynamic_rnn(cell, x, dtype=tf.float32, time_major=True, scope=f"rnn_{index}")
        x = net.dropout_by_floor(x, keep)
    return tf.identity(x, "states")


@structure("LSTM unrolled by static_rnn: Split or Unpack of the steps")
def static_lstm(net: Net) -> Tensor:
    x = net.placeholder("x", [None, 4, 5], [2, 4, 5], low=-1)
    states, _ = v1.nn.static_rnn(Lstm(net, 5, 6), tf.unstack(x, 4, 1), dtype=tf.float32)
    return tf.nn.softmax(net.dense(states[-1], 3), name="output")


@structure("LSTM in one operation, BlockLSTM, as LSTMBlockFusedCell writes it")
def block_lstm(net: Net) -> Tensor:
    x = net.placeholder("x", [5, 1, 4], [5, 1, 4], low=-1)
    zeros = tf.zeros([6])
    result = tf.raw_ops.BlockLSTM(
        seq_len_max=tf.constant(5, tf.int64),
        x=x,
        cs_prev=tf.zeros([1, 6]),
        h_prev=tf.zeros([1, 6]),
        w=net.weights((10, 24), "kernel", 0.4),
        wci=zeros,
        wcf=zeros,
        wco=zeros,
        b=net.bias(24, "bias"),
    )
    return tf.identity(result.h, "states")


@structure("CRNN: convolutions, columns as steps, a bidirectional LSTM, logits for CTC")
def crnn(net: Net) -> Tensor:
    x = net.placeholder("input", [1, 16, 32, 1], [1, 16, 32, 1])
    x = tf.nn.max_pool2d(net.conv(x, 8, activation=tf.nn.relu, name="conv1"), 2, 2, "VALID")
    x = net.conv(
        x, 8, kernel=(8, 1), padding="VALID", norm=net.batch_norm, activation=tf.nn.relu, name="conv2"
    )
    x = tf.squeeze(x, 1)
    forward, backward = Lstm(net, 8, 5, "fw"), Lstm(net, 8, 5, "bw")
    lengths = tf.constant([16])
    both, _ = v1.nn.bidirectional_dynamic_rnn(forward, backward, x, lengths, dtype=tf.float32)
    x = net.dense(tf.reshape(tf.concat(both, 2), [-1, 10]), 7, name="logits")
    return tf.transpose(tf.reshape(x, [1, -1, 7]), [1, 0, 2], name="transposed_logits")


@structure("A raw while loop of TensorFlow 1: power iteration")
def while_loop(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 6], [1, 6], low=0.1)
    kernel = net.variable(np.eye(6, dtype=np.float32) + 0.1, "kernel")

    def step(i: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return i + 1, tf.matmul(y, kernel) * 0.5

    return tf.identity(v1.while_loop(lambda i, y: i < 4, step, [tf.constant(0), x])[1], "out")


@structure("LSTM of TensorFlow 2: While with tensor lists")
def lstm_tf2(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 5, 4], [1, 5, 4], low=-1)
    with control_flow(2):
        states, _ = v1.nn.dynamic_rnn(Lstm(net, 4, 6), x, dtype=tf.float32)
        return tf.identity(states, "Identity")


def gelu(x: Tensor) -> Tensor:
    """Return the GELU of the error function, as BERT spells it."""
    return x * 0.5 * (1.0 + tf.math.erf(x / tf.sqrt(2.0)))


def gelu_by_tanh(x: Tensor) -> Tensor:
    """Return the GELU of the hyperbolic tangent, as GPT spells it."""
    return x * 0.5 * (1.0 + tf.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * tf.pow(x, 3))))


def attention(net: Net, x: Tensor, mask: Tensor | None, steps: int, heads: int = 2, size: int = 4) -> Tensor:
    """Return self-attention of float32[steps, heads * size], as BERT writes it."""

    def by_head(name: str) -> Tensor:
        values = tf.reshape(net.dense(x, heads * size, name=name), [-1, steps, heads, size])
        return tf.transpose(values, [0, 2, 1, 3])

    with v1.name_scope("attention/self"):
        scores = tf.matmul(by_head("query"), by_head("key"), transpose_b=True) * (1.0 / np.sqrt(size))
        if mask is not None:
            scores = scores + (1.0 - tf.expand_dims(mask, 1)) * -10000.0
        context = tf.matmul(tf.nn.softmax(scores), by_head("value"))
        return tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [-1, heads * size])


def bert_like(net: Net, activation: Any, steps: int = 6, size: int = 8) -> list[Tensor]:
    """Return the states and the pooled output of a small BERT."""
    ids = net.placeholder("input_ids", [None, steps], [1, steps], tf.int32, high=19)
    mask_ids = net.placeholder("input_mask", [None, steps], [1, steps], tf.int32, low=1)
    types = net.placeholder("segment_ids", [None, steps], [1, steps], tf.int32, high=1)
    with v1.name_scope("bert/embeddings"):
        words = tf.reshape(
            tf.gather(net.weights((20, size), "word", 0.5), tf.reshape(ids, [-1])), [-1, steps, size]
        )
        kinds = tf.matmul(tf.one_hot(tf.reshape(types, [-1]), 2), net.weights((2, size), "type", 0.5))
        places = tf.slice(net.weights((16, size), "position", 0.5), [0, 0], [steps, -1])
        x = words + tf.reshape(kinds, [-1, steps, size]) + tf.reshape(places, [1, steps, size])
        x = net.layer_norm(x)
    batch = tf.shape(ids)[0]
    mask = tf.ones(tf.stack([batch, steps, 1])) * tf.cast(tf.reshape(mask_ids, [-1, 1, steps]), tf.float32)
    x = tf.reshape(x, [-1, size])
    with v1.name_scope("bert/encoder/layer_0"):
        x = net.layer_norm(net.dense(attention(net, x, mask, steps), size, name="output") + x)
        middle = net.dense(x, 2 * size, activation=activation, name="intermediate")
        x = net.layer_norm(net.dense(middle, size, name="output_1") + x)
    x = tf.reshape(x, [-1, steps, size], name="sequence_output")
    first = tf.squeeze(x[:, 0:1, :], 1)
    return [x, net.dense(first, size, activation=tf.tanh, name="bert/pooler/dense")]


@structure("BERT: table lookups, attention with a mask, layer norm, GELU of Erf")
def bert(net: Net) -> list[Tensor]:
    return bert_like(net, gelu)


@structure("BERT with the GELU of Tanh", old=True)
def bert_tanh(net: Net) -> list[Tensor]:
    return bert_like(net, gelu_by_tanh)


@structure("A transformer in Keras 2: Tensordot or Einsum for each head, a causal mask")
def transformer(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 6, 8], [1, 6, 8], low=-1)
    kernels = [net.weights((8, 2, 4), name) for name in ("query", "key", "value")]
    query, key, value = (tf.einsum("abc,cde->abde", x, kernel) for kernel in kernels)
    scores = tf.einsum("aecd,abcd->acbe", key, query * 0.5)
    causal = tf.constant(np.where(np.tril(np.ones((6, 6))), 0, -1e9).astype(np.float32))
    mixed = tf.einsum("acbe,aecd->abcd", tf.nn.softmax(scores + causal), value)
    x = net.layer_norm(x + tf.einsum("abcd,cde->abe", mixed, net.weights((2, 4, 8), "output")))
    return tf.identity(net.dense_3d(tf.nn.relu(net.dense_3d(x, 16)), 8, "dense_1") + x, "Identity")


@structure("A decoder layer of GPT: causal mask by matrix band, split of one projection")
def gpt(net: Net) -> Tensor:
    ids = net.placeholder("context", [1, 5], [1, 5], tf.int32, high=19)
    x = embedded(net, ids) + net.weights((1, 5, 8), "wpe", 0.5)
    query, key, value = tf.split(net.dense_3d(net.layer_norm(x), 24, "c_attn"), 3, 2)
    scores = tf.matmul(query, key, transpose_b=True) * 0.35
    rows = tf.range(5)
    seen = tf.cast(rows[:, None] >= rows, tf.float32)
    scores = scores * seen - 1e10 * (1 - seen)
    x = x + tf.matmul(tf.nn.softmax(scores), value)
    x = x + net.dense_3d(gelu_by_tanh(net.dense_3d(net.layer_norm(x), 16, "c_fc")), 8, "c_proj")
    return tf.matmul(tf.reshape(x, [-1, 8]), net.weights((20, 8), "wte"), transpose_b=True, name="logits")


@structure("Attention over an encoder's states: a softmax of axis 1 and a weighted sum")
def attention_pool(net: Net) -> Tensor:
    x = net.placeholder("states", [1, 7, 8], [1, 7, 8], low=-1)
    scores = net.dense_3d(tf.tanh(net.dense_3d(x, 6, "attention_w")), 1, "attention_v")
    weights = tf.nn.softmax(scores, axis=1)
    return tf.reduce_sum(weights * x, 1, name="context")


@structure("Mean of word vectors: embedding_lookup, a mask, a division")
def word_average(net: Net) -> Tensor:
    ids = net.placeholder("ids", [None, 6], [2, 6], tf.int64, high=19)
    x = embedded(net, ids)
    known = tf.expand_dims(tf.cast(tf.not_equal(ids, 0), tf.float32), 2)
    mean = tf.reduce_sum(x * known, 1) / tf.maximum(tf.reduce_sum(known, 1), 1.0)
    return tf.nn.softmax(net.dense(mean, 3, name="logits"), name="scores")


@structure(
    "TextCNN: word vectors, kernels of three widths, pooling over time, dropout by keep_prob", old=True
)
def text_cnn(net: Net) -> list[Tensor]:
    ids = net.placeholder("input_x", [None, 10], [1, 10], tf.int32, high=19)
    keep = net.fixed("dropout_keep_prob", 1.0, tf.float32)
    x = tf.expand_dims(embedded(net, ids), -1)
    pools = []
    for width in (3, 4, 5):
        y = net.conv(
            x, 4, kernel=(width, 8), padding="VALID", activation=tf.nn.relu, name=f"conv-maxpool-{width}"
        )
        pools.append(tf.nn.max_pool2d(y, [11 - width, 1], 1, "VALID", name=f"pool{width}"))
    flat = net.dropout_by_floor(tf.reshape(tf.concat(pools, 3), [-1, 12]), keep)
    scores = v1.nn.xw_plus_b(flat, net.weights((12, 3)), net.bias(3), name="output/scores")
    return [scores, tf.argmax(scores, 1, name="output/predictions")]


@structure("Words as texts: hashed to ids, then looked up")
def hashed_words(net: Net) -> Tensor:
    words = net.placeholder("words", [None, 4], [1, 4], tf.string)
    ids = v1.string_to_hash_bucket_fast(words, 20, name="ids")
    mean = tf.reduce_mean(embedded(net, ids), 1)
    return tf.nn.softmax(net.dense(mean, 3, name="logits"), name="scores")


@structure("One-hot letters: OneHot, 1-D convolutions, the maximum over time")
def letters(net: Net) -> Tensor:
    ids = net.placeholder("letters", [1, 12], [1, 12], tf.uint8, high=15)
    x = tf.one_hot(tf.cast(ids, tf.int32), 16)
    x = tf.nn.relu(tf.nn.conv1d(x, net.weights((3, 16, 8)), 1, "SAME"))
    return net.dense(tf.reduce_max(x, 1), 4, name="logits")


@structure("Recommender: ids of two tables, numbers beside them, wide and deep parts added")
def wide_and_deep(net: Net) -> Tensor:
    user = net.placeholder("user", [None], [3], tf.int32, high=9)
    item = net.placeholder("item", [None], [3], tf.int32, high=9)
    age = net.placeholder("age", [None, 1], [3, 1])
    first, second = embedded(net, user, 10, name="users"), embedded(net, item, 10, name="items")
    deep = net.dense(tf.concat([first, second, age], 1), 8, activation=tf.nn.relu, name="deep")
    wide = tf.reduce_sum(first * second, -1, keepdims=True)
    return tf.sigmoid(tf.add_n([net.dense(deep, 1, name="last"), wide, net.dense(age, 1, name="w")]), "prob")


@structure("1-D convolutions over sound: strides, batch norm, pooling over time")
def audio_conv(net: Net) -> Tensor:
    x = net.placeholder("waveform", [None, 64, 1], [1, 64, 1], low=-1)
    for index, size in enumerate((4, 8)):
        with v1.name_scope(f"conv1d_{index}"):
            x = tf.nn.conv1d(x, net.weights((5, x.shape[-1], size), "kernel"), 2, "SAME")
            x = tf.nn.relu(net.batch_norm_by_parts(tf.nn.bias_add(x, net.bias(size, "bias"))))
        x = tf.squeeze(tf.nn.max_pool2d(tf.expand_dims(x, 2), [2, 1], [2, 1], "SAME"), 2)
    return tf.nn.softmax(net.dense(tf.reduce_mean(x, 1), 4), name="labels_softmax")


@structure("WaveNet's block: causal padding, dilated 1-D convolutions, a gate of tanh and sigmoid")
def wavenet(net: Net) -> Tensor:
    x = net.placeholder("x", [1, 32, 1], [1, 32, 1], low=-1)
    x = tf.nn.conv1d(x, net.weights((1, 1, 6), "causal"), 1, "SAME")
    skips = []
    for rate in (1, 2, 4):
        padded = tf.pad(x, [[0, 0], [rate, 0], [0, 0]])
        gates = [
            tf.nn.convolution(padded, net.weights((2, 6, 6), kind), padding="VALID", dilations=[rate])
            for kind in ("filter", "gate")
        ]
        y = tf.tanh(gates[0]) * tf.sigmoid(gates[1])
        skips.append(tf.nn.conv1d(y, net.weights((1, 6, 4), "skip"), 1, "SAME"))
        x = x + tf.nn.conv1d(y, net.weights((1, 6, 6), "dense"), 1, "SAME")
    return tf.nn.softmax(tf.nn.relu(tf.add_n(skips)), name="out")


@structure("Keyword spotting: the fingerprint of a sound as a picture, after DecodeWav and Mfcc")
def keywords(net: Net) -> Tensor:
    data = v1.placeholder(tf.string, [], "wav_data")
    sound, rate = tf.audio.decode_wav(data, 1, 1600, name="decoded_sample_data")
    spectrogram = tf.raw_ops.AudioSpectrogram(
        input=sound, window_size=320, stride=160, magnitude_squared=True
    )
    features = tf.raw_ops.Mfcc(spectrogram=spectrogram, sample_rate=rate, dct_coefficient_count=10)
    net.drawn(features, [1, 9, 10], low=-1)
    x = tf.reshape(features, [-1, 9, 10, 1], name="fingerprint")
    x = tf.nn.max_pool2d(net.conv(x, 4, activation=tf.nn.relu, name="conv"), 2, 2, "SAME")
    x = net.dense(tf.reshape(x, [-1, 5 * 5 * 4]), 4, name="final_fc")
    return tf.nn.softmax(x, name="labels_softmax")


@structure("Spectra by a matrix, then logarithms: framed sound, squared parts, Log1p")
def log_spectra(net: Net) -> Tensor:
    x = net.placeholder("frames", [1, 8, 16], [1, 8, 16], low=-1)
    angles = 2 * np.pi * np.outer(np.arange(16), np.arange(9)) / 16
    window = tf.constant(np.hanning(16).astype(np.float32)) * x
    parts = [tf.tensordot(window, tf.constant(f(angles).astype(np.float32)), 1) for f in (np.cos, np.sin)]
    power = tf.math.log1p(tf.square(parts[0]) + tf.square(parts[1]))
    return tf.math.log(tf.nn.relu(net.dense_3d(power, 5, "mel")) + 1e-3, name="log_mel")
