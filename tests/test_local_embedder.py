"""Encoders on this machine: MiniLM, folders of Hugging Face and of sentence-transformers."""

import json
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

from cxrfuture_data.schema import ContractError
from etl import local_embedder
from etl.local_embedder import (
    LocalModel,
    batch_by_width,
    load_replica,
    plan_windows,
    visible_devices,
)
from etl.local_folder import find_minilm, read_folder, read_minilm
from etl.params import LocalEmbedder

TEXTS = [f"chartevents itemid Heart Rate value {rate} " + "bpm " * (rate % 5) for rate in range(23)]


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def open_folder(folder, pooling="folder", normalise=True, max_tokens=0, **options):
    params = LocalEmbedder(
        path=str(folder), pooling=pooling, normalise=normalise, max_tokens=max_tokens
    )
    return LocalModel(read_folder(params), **{"batch_size": 4, "autocast": "none", **options})


# --- MiniLM


@pytest.fixture(scope="module")
def minilm():
    return LocalModel(read_minilm(find_minilm()), 4, "none")


def test_related_texts_are_closer_than_unrelated(minilm, no_network):
    vectors = minilm.embed(
        ["Furosemide 40 mg IV", "diuretic given intravenously", "the cat sat on the mat"]
    )
    assert vectors.shape == (3, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    likeness = vectors @ vectors.T
    assert likeness[0, 1] > likeness[0, 2] + 0.2


def test_a_text_s_vector_hardly_depends_on_its_batch(minilm):
    texts = [f"potassium {level} mEq/L " + "stable " * (level % 7) for level in range(11)]
    together = minilm.embed(texts)
    alone = np.concatenate([minilm.embed([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-5
    assert np.array_equal(together, minilm.embed(texts))


def test_a_very_long_text_is_cut_not_refused(minilm):
    vectors = minilm.embed(["word " * 300, "word " * 2000])
    assert np.abs(vectors[0] - vectors[1]).max() < 1e-5


def test_cut_texts_and_tokens_are_counted():
    model = LocalModel(read_minilm(find_minilm()), 4, "none")
    # 254 words and two marks are 256 tokens, the limit.
    model.embed(["word " * 254, "word " * 255, "word"])
    assert (model.usage.texts, model.usage.tokens, model.usage.cut) == (3, 256 + 256 + 3, 1)
    assert model.count_tokens(["word", "word " * 999]).tolist() == [3, 256]


def test_batches_hold_one_width_over_windows_and_what_is_left_comes_last():
    rows = [np.zeros(length, np.int64) for length in (9, 8, 12, 5, 4, 10, 8)]
    windows = [(np.array([6, 5, 4]), rows[:3]), (np.array([3, 2, 1, 0]), rows[3:])]
    batches = [
        (place.tolist(), [len(row) for row in some]) for place, some in batch_by_width(windows, 2)
    ]
    assert batches == [([6, 4], [9, 12]), ([5, 3], [8, 5]), ([1], [10]), ([0], [8]), ([2], [4])]
    assert list(batch_by_width([], 2)) == []


def test_windows_are_whole_batches_longest_first_whatever_the_order():
    texts = ["bb", "a", "ccc", "aa", "d"]
    named = [[texts[i] for i in window] for window in plan_windows(texts, 2)]
    assert named == [["ccc", "aa", "bb", "a", "d"]]
    turned = texts[::-1]
    assert [[turned[i] for i in window] for window in plan_windows(turned, 2)] == named


def test_a_vector_does_not_depend_on_the_texts_beside_it(minilm):
    """To the bit: so a run that was killed ends with the same table."""
    whole = minilm.embed(TEXTS)
    for chosen in ([0], [5, 2], [*range(3, 22, 4)], [*range(12)]):
        assert np.array_equal(minilm.embed([TEXTS[i] for i in chosen]), whole[chosen])


def test_vectors_are_equal_to_the_bit_in_another_order(minilm):
    straight = minilm.embed(TEXTS)
    turned = minilm.embed(TEXTS[::-1])[::-1]
    assert np.array_equal(straight, turned)


@pytest.mark.parametrize("replicas", [2, 3])
def test_replicas_give_the_same_batches_in_the_same_order(minilm, replicas):
    several = LocalModel(minilm.encoder, 4, "none", ["cpu"] * replicas)
    alone = list(minilm.embed_each(TEXTS))
    together = list(several.embed_each(TEXTS))
    assert len(alone) == len(together) > 4
    for (place, vectors), (other_place, other) in zip(alone, together, strict=True):
        assert np.array_equal(place, other_place)
        assert np.array_equal(vectors, other)
    assert several.facts == minilm.facts


def test_windows_change_nothing_but_the_batches(minilm, monkeypatch):
    monkeypatch.setattr(local_embedder, "TEXTS_PER_WINDOW", 9)  # two batches of 4 a window
    model = LocalModel(minilm.encoder, 4, "none")
    places = [positions.tolist() for positions, _ in model.embed_each(TEXTS)]
    assert sorted(position for place in places for position in place) == list(range(23))
    assert np.array_equal(model.embed(TEXTS), minilm.embed(TEXTS))
    assert model.usage.texts == 46


def test_replicas_stop_when_the_caller_does(minilm):
    several = LocalModel(minilm.encoder, 1, "none", ["cpu", "cpu"])
    batches = several.embed_each(TEXTS)
    next(batches)
    batches.close()
    assert several.embed(TEXTS[:3]).shape == (3, 384)


def test_every_gpu_is_used_or_the_processor(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert visible_devices() == ("cuda:0", "cuda:1")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert visible_devices() == ("cpu",)


def test_bf16_is_near_and_has_another_digest(minilm):
    half = LocalModel(minilm.encoder, 4, "bf16")
    likeness = (half.embed(TEXTS) * minilm.embed(TEXTS)).sum(1)
    assert likeness.min() > 0.999
    assert likeness.min() < 0.9999999
    names = {LocalModel(minilm.encoder, 4, kind).facts.digest for kind in ("none", "bf16", "fp16")}
    assert len(names) == 3
    assert LocalModel(minilm.encoder, 9, "none").facts == minilm.facts


def test_a_vector_that_is_not_finite_is_refused(minilm, monkeypatch):
    replica = load_replica(minilm.encoder, "cpu")
    replica.model.embeddings.LayerNorm.weight.data.fill_(float("nan"))
    model = LocalModel(minilm.encoder, 4, "none")
    monkeypatch.setattr(model, "load", lambda: (replica,))
    with pytest.raises(ContractError, match="not finite"):
        model.embed(["fig"])


# --- folders


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory):
    """A BERT of two narrow layers with random weights, and MiniLM's tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert") / "tiny-bert"
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        vocab_size=30522,
    )
    BertModel(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(find_minilm() / name, folder / name)
    return folder


@pytest.fixture
def folder(tiny_bert, tmp_path):
    return Path(shutil.copytree(tiny_bert, tmp_path / "tiny-bert"))


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def add_modules(folder, kinds=("Transformer", "Pooling", "Normalize"), pooling=None):
    """modules.json as sentence-transformers writes it."""
    listed = [
        {"idx": n, "name": str(n), "path": f"{n}_{kind}" if n else "", "type": kind_name(kind)}
        for n, kind in enumerate(kinds)
    ]
    write_json(folder / "modules.json", listed)
    write_json(
        folder / "1_Pooling" / "config.json",
        pooling
        or {
            "word_embedding_dimension": 16,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
        },
    )


def kind_name(kind):
    return kind if "." in kind else f"sentence_transformers.models.{kind}"


def add_dense(folder, place, activation="torch.nn.modules.activation.Tanh", **more):
    from safetensors.numpy import save_file

    rng = np.random.default_rng(3)
    weight = rng.normal(size=(5, 16)).astype(np.float32)
    bias = rng.normal(size=5).astype(np.float32)
    config = {"in_features": 16, "out_features": 5, "bias": True, "activation_function": activation}
    write_json(folder / place / "config.json", config | more)
    save_file({"linear.weight": weight, "linear.bias": bias}, folder / place / "model.safetensors")
    return weight, bias


def hidden_of(folder, text, max_length=40):
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")
    with torch.inference_mode():
        return AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state[0].numpy()


def test_pooling_and_length_are_as_set(folder, no_network):
    text = "potassium 4.1 mEq/L"
    hidden = hidden_of(folder, text)
    near = {"rel": 1e-4, "abs": 1e-5}
    mean = open_folder(folder, "mean", normalise=False).embed(["x", text])[1]
    assert mean == pytest.approx(hidden.mean(0), **near)
    first = open_folder(folder, "cls", normalise=False).embed(["x", text])[1]
    assert first == pytest.approx(hidden[0], **near)
    unit = open_folder(folder, "cls").embed([text])[0]
    assert unit == pytest.approx(hidden[0] / np.linalg.norm(hidden[0]), **near)


def test_facts_of_a_folder(folder):
    facts = open_folder(folder, "mean").facts
    assert (facts.name, facts.backend, facts.dim) == ("tiny-bert", "local", 16)
    assert facts.max_tokens == 40  # the tokenizer says 512, but there are 40 positions
    assert open_folder(folder, "mean", max_tokens=9).facts.max_tokens == 9


def test_what_decides_a_vector_is_in_the_digest(folder):
    digests = [
        open_folder(folder, "mean").facts.digest,
        open_folder(folder, "cls").facts.digest,
        open_folder(folder, "mean", normalise=False).facts.digest,
        open_folder(folder, "mean", max_tokens=9).facts.digest,
    ]
    (folder / "README.md").write_text("words")
    assert open_folder(folder, "mean").facts.digest == digests[0]
    for name in ("vocab.txt", "model.safetensors", "config.json"):
        (folder / name).write_bytes((folder / name).read_bytes() + b"\n")
        digests.append(open_folder(folder, "mean").facts.digest)
    assert len(set(digests)) == 7


@pytest.mark.parametrize(
    "pooling",
    [
        {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
        {"embedding_dimension": 16, "pooling_mode": "cls", "include_prompt": True},
    ],
)
def test_modules_say_how(folder, pooling):
    add_modules(folder, pooling=pooling)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 12})
    model = open_folder(folder)
    assert model.facts.max_tokens == 12
    as_set = open_folder(folder, "cls", max_tokens=12)
    assert np.array_equal(model.embed(TEXTS), as_set.embed(TEXTS))
    assert np.linalg.norm(model.embed(TEXTS), axis=1) == pytest.approx(np.ones(23), abs=1e-5)


def test_a_dense_layer_comes_after_pooling(folder):
    weight, bias = add_dense(folder, "2_Dense")
    add_modules(folder, ("Transformer", "Pooling", "Dense"))
    model = open_folder(folder)
    assert model.facts.dim == 5
    pooled = open_folder(folder, "mean", normalise=False).embed(TEXTS)
    assert model.embed(TEXTS) == pytest.approx(np.tanh(pooled @ weight.T + bias), abs=1e-5)
    plain = model.facts.digest
    add_dense(folder, "2_Dense", "torch.nn.modules.linear.Identity")
    assert open_folder(folder).embed(TEXTS) == pytest.approx(pooled @ weight.T + bias, abs=1e-4)
    assert open_folder(folder).facts.digest != plain


def test_a_default_prompt_is_put_before_each_text(folder):
    add_modules(folder)
    prompts = {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
    write_json(folder / "config_sentence_transformers.json", prompts)
    model = open_folder(folder)
    plain = open_folder(folder, "mean")
    assert np.array_equal(model.embed(["fig"]), plain.embed(["query: fig"]))
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode": "mean", "include_prompt": 0})
    with pytest.raises(ContractError, match="leaves out the prompt"):
        open_folder(folder)


def test_minilm_s_own_folder_reads_the_same(minilm):
    model = open_folder(find_minilm())
    assert model.facts.max_tokens == 256
    assert np.array_equal(model.embed(TEXTS), minilm.embed(TEXTS))


def test_vectors_are_those_of_sentence_transformers(folder):
    """Where that library is installed; ours never imports it."""
    library = pytest.importorskip("sentence_transformers")
    add_dense(folder, "2_Dense")
    add_modules(folder, ("Transformer", "Pooling", "Dense", "Normalize"))
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 9})
    texts = [*TEXTS, "", "word " * 50]
    for place in (folder, find_minilm()):
        theirs = library.SentenceTransformer(str(place), device="cpu").encode(texts)
        assert open_folder(place).embed(texts) == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (("Transformer",), "expected Transformer and Pooling first"),
        (("Transformer", "Pooling", "LayerNorm"), "module LayerNorm after Pooling"),
        (("Transformer", "Pooling", "Normalize", "Dense"), "module Dense after Normalize"),
        (("Transformer", "Pooling", "my_code.Normalize"), "not one of sentence-transformers"),
        (("StaticEmbedding", "Normalize"), "StaticEmbedding, Normalize"),
        ((), "modules are none"),
    ],
)
def test_unknown_modules_are_refused(folder, kinds, message):
    add_modules(folder, kinds)
    with pytest.raises(ContractError, match=message):
        open_folder(folder)


@pytest.mark.parametrize(
    "pooling",
    [
        {"pooling_mode_max_tokens": True},
        {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
        {"pooling_mode_cls_token": False},
        {"pooling_mode": ["mean", "max"]},
        {"pooling_mode": "lasttoken"},
    ],
)
def test_unknown_pooling_is_refused(folder, pooling):
    add_modules(folder, pooling=pooling)
    with pytest.raises(ContractError, match="supported is one of mean, cls"):
        open_folder(folder)


@pytest.mark.parametrize(
    "more",
    [
        {"activation_function": "torch.nn.modules.activation.GELU"},
        {"use_residual": True},
        {"module_input_name": "token_embeddings"},
    ],
)
def test_an_unusual_dense_layer_is_refused(folder, more):
    add_dense(folder, "2_Dense", **more)
    add_modules(folder, ("Transformer", "Pooling", "Dense"))
    with pytest.raises(ContractError, match="Dense layer is not supported"):
        open_folder(folder)


def break_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:2000])


def break_config(folder):
    (folder / "config.json").write_text("{")


def empty_config(folder):
    (folder / "config.json").write_text("")


def decoder(folder):
    write_json(folder / "config.json", {"is_encoder_decoder": True, "model_type": "t5"})


def drop_tokenizer(folder):
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (folder / name).unlink()


def drop_a_layer_of_weights(folder):
    from safetensors.numpy import load_file, save_file

    path = folder / "model.safetensors"
    weights = {name: value for name, value in load_file(path).items() if "layer.1." not in name}
    save_file(weights, path, {"format": "pt"})


BROKEN = {
    "a layer less": (drop_a_layer_of_weights, r"lack 16 of the encoder's weights, .*layer\.1\."),
    "no folder": (shutil.rmtree, "is no folder"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "config.json: no such file"),
    "half a config": (break_config, "not readable as JSON"),
    "an empty config": (empty_config, "not readable as JSON"),
    "a decoder": (decoder, "'t5' has a decoder"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "no weights"),
    "half the weights": (break_weights, "cannot be loaded"),
    "no tokenizer": (drop_tokenizer, "no tokenizer"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_folder_is_named(folder, name):
    change, message = BROKEN[name]
    change(folder)
    with pytest.raises(ContractError, match=message) as caught:
        open_folder(folder, "mean").embed(["fig"])
    assert "tiny-bert" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_that_cannot_be_are_refused(folder):
    with pytest.raises(ContractError, match=r"local\.path is empty"):
        open_folder("")
    with pytest.raises(ContractError, match=r"no modules\.json.*mean or cls"):
        open_folder(folder)
    with pytest.raises(ContractError, match=r"max_tokens is 41, .*positions for 40"):
        open_folder(folder, "mean", max_tokens=41)
