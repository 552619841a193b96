"""Fine-tuning a tiny BERT: what stops it, what is kept, what is refused."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from planted import OTHERS, planted, split, write_bert

from variegate.config.student import FinetunedStudentConfig
from variegate.errors import UsageError, VariegateError
from variegate.students import LabelledTexts, evaluate, load, train_student
from variegate.students import finetune as module
from variegate.students.finetuned import FinetunedStudent, longest


def config(bert: Path | str, **fields: Any) -> FinetunedStudentConfig:
    given = {"epochs": 4, "learning_rate": 2e-3, "batch_size": 16, "max_tokens": 32} | fields
    return FinetunedStudentConfig.model_validate({"kind": "finetune", "model": str(bert), **given})


def student(*arguments: Any, **options: Any) -> FinetunedStudent:
    found = train_student(*arguments, **options)
    assert isinstance(found, FinetunedStudent)
    return found


def weights(found: FinetunedStudent) -> dict[str, Any]:
    return found.model.state_dict()


def equal(one: FinetunedStudent, other: FinetunedStudent) -> bool:
    return all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())


@pytest.fixture(scope="module")
def sets() -> list[LabelledTexts]:
    return split(planted(340), 180, 60, 100)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What every training step got: its inputs' shapes and padding, and the trainer."""
    found: list[dict[str, Any]] = []
    real = module._Trainer.training_step

    def step(self: Any, model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
        mask = inputs["attention_mask"]
        rates = [group["lr"] for group in self.optimizer.param_groups]
        found.append({"n": len(mask), "padding": int((mask == 0).sum()), "rate": rates[0], "trainer": self})
        return real(self, model, inputs, *rest, **options)

    monkeypatch.setattr(module._Trainer, "training_step", step)
    return found


def test_it_learns_and_says_what_it_did(bert: Path, sets: list[LabelledTexts], capsys: pytest.CaptureFixture[str]) -> None:
    train, dev, test = sets
    shown: list[tuple[str, int, int]] = []
    made = student(config(bert), train, dev, seed=1, progress=lambda *each: shown.append(each))
    found = made.predict(test.texts, progress=lambda *each: shown.append(each))
    assert evaluate(found, test)["accuracy"] > 0.95
    assert found.probabilities is not None
    assert found.probabilities.sum(axis=1) == pytest.approx(np.ones(100))
    assert found.probabilities == pytest.approx(torch.softmax(torch.from_numpy(found.scores), dim=1).numpy())
    facts = made.facts
    assert {name: facts[name] for name in ("model", "n", "seed", "epochs_run", "steps", "stopped_early", "best", "num_truncated")} == {
        "model": "tiny-bert", "n": 180, "seed": 1, "epochs_run": 4, "steps": 48, "stopped_early": False, "best": None, "num_truncated": 0,
    }  # fmt: skip
    assert [each["epoch"] for each in facts["history"]] == [1, 2, 3, 4]
    assert facts["history"][0]["loss"] > facts["history"][-1]["loss"]
    assert facts["dev"] == {"source": "planted", "n": 60, **{name: facts["history"][-1]["dev"][name] for name in ("accuracy", "macro_f1")}}
    assert ("training, epoch 1", 1, 48) in shown
    assert shown[-1] == ("predicting", 100, 100)
    assert capsys.readouterr().out == ""  # Transformers prints its logs


@pytest.mark.slow
def test_early_stopping_stops_and_gives_the_best_weights_back(bert: Path, sets: list[LabelledTexts]) -> None:
    """The dev labels are wrong, so that learning lowers the score. The weights are those of a run that ended at the best epoch."""
    train = sets[0]
    wrong = planted(60, seed=9, noise=1.0)
    dev = LabelledTexts(tuple(f"again {text}" for text in wrong.texts), wrong.labels, wrong.ids, "dev")
    plan = {"schedule": "constant", "warmup": 0, "learning_rate": 5e-4}
    made = student(config(bert, epochs=12, patience=2, **plan), train, dev, seed=3)
    scores = [each["dev"]["accuracy"] for each in made.facts["history"]]
    best = int(np.argmax(scores)) + 1
    assert made.facts["stopped_early"]
    assert made.facts["best"]["epoch"] == best
    assert made.facts["epochs_run"] == best + 2 == len(scores) < 12
    assert scores[best - 1] > scores[-1]
    assert made.facts["dev"]["accuracy"] == scores[best - 1] == evaluate(made.predict(dev.texts), dev)["accuracy"]
    assert equal(made, student(config(bert, epochs=best, **plan), train, dev, seed=3))
    assert not equal(made, student(config(bert, epochs=best + 2, **plan), train, dev, seed=3))


@pytest.mark.slow
def test_the_best_by_loss_is_the_lowest(bert: Path, sets: list[LabelledTexts]) -> None:
    made = student(config(bert, patience=9, best_by="loss"), sets[0], sets[1])
    losses = [each["dev"]["loss"] for each in made.facts["history"]]
    assert made.facts["best"]["loss"] == min(losses) < losses[0]
    assert not made.facts["stopped_early"]
    by_f1 = student(config(bert, patience=1, epochs=8, best_by="macro_f1"), sets[0], sets[1])
    scores = [each["dev"]["macro_f1"] for each in by_f1.facts["history"]]
    assert by_f1.facts["best"]["macro_f1"] == max(scores)


@pytest.mark.slow
def test_same_seed_same_student_and_nothing_else_is_moved(bert: Path, sets: list[LabelledTexts]) -> None:
    train = sets[0]
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    one = student(config(bert, epochs=1), train, seed=5)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]
    torch.rand(3)
    assert equal(one, student(config(bert, epochs=1), train, seed=5))
    assert not equal(one, student(config(bert, epochs=1), train, seed=6))


@pytest.mark.slow
def test_length_grouping_saves_padding(bert: Path, steps: list[dict[str, Any]]) -> None:
    train = planted(480, words=(1, 24))
    padding = {}
    for grouped in (True, False):
        steps.clear()
        student(config(bert, epochs=1, batch_size=8, group_by_length=grouped), train)
        assert sum(each["n"] for each in steps) == 480
        padding[grouped] = sum(each["padding"] for each in steps)
    assert padding[True] < 0.3 * padding[False]


@pytest.mark.slow
@pytest.mark.parametrize(("plan", "warmup"), [({"warmup": 0.25}, 5), ({"warmup": 1}, 5), ({"warmup_steps": 3}, 3), ({"warmup": 0}, 0)])
def test_the_rate_warms_up_and_falls(bert: Path, steps: list[dict[str, Any]], plan: dict[str, Any], warmup: int) -> None:
    """100 texts in batches of 10, two a step: 5 steps an epoch, 20 in all. The closed form of a linear warm-up and decay."""
    student(config(bert, batch_size=10, gradient_accumulation=2, learning_rate=0.01, **plan), planted(100))
    rates = [each["rate"] for each in steps[::2]]
    expected = [0.01 * (step / warmup if step < warmup else (20 - step) / (20 - warmup)) for step in range(20)]
    assert rates == pytest.approx(expected)


def test_a_constant_schedule_stays_up(bert: Path, steps: list[dict[str, Any]]) -> None:
    student(config(bert, warmup_steps=2, schedule="constant", epochs=1, learning_rate=0.01), planted(96))
    assert [each["rate"] for each in steps] == pytest.approx([0, 0.005, 0.01, 0.01, 0.01, 0.01])


@pytest.mark.slow
def test_adamw_8bit_keeps_its_state_in_bytes(tmp_path: Path, sets: list[LabelledTexts], steps: list[dict[str, Any]]) -> None:
    pytest.importorskip("bitsandbytes")
    bert = write_bert(tmp_path / "wide", hidden=64)  # bitsandbytes leaves tensors below 4,096 numbers alone
    made = student(config(bert, optimizer="adamw_8bit"), sets[0])
    states = steps[-1]["trainer"].optimizer.state.values()
    assert {state["state1"].dtype for state in states if state["state1"].numel() >= 8192} == {torch.uint8}
    assert evaluate(made.predict(sets[2].texts), sets[2])["accuracy"] > 0.8


def test_adamw_8bit_without_bitsandbytes(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    with pytest.raises(UsageError, match="adamw_8bit needs the package bitsandbytes"):
        train_student(config(bert, optimizer="adamw_8bit"), planted(20))


@pytest.mark.slow
def test_bfloat16(bert: Path, sets: list[LabelledTexts], tmp_path: Path) -> None:
    """It is trained in, as on every GPU; predictions are made in float32, by the student that was trained and by the one on disk."""
    made = student(config(bert, precision="bfloat16"), sets[0])
    assert made.facts["precision"] == "bfloat16"
    made.save(tmp_path / "s")
    texts = sets[2].texts[:48]
    assert np.array_equal(made.predict(texts).scores, load(tmp_path / "s").predict(texts).scores)
    assert next(made.model.parameters()).dtype == torch.float32  # the weights themselves, and what is saved
    assert evaluate(made.predict(sets[2].texts), sets[2])["accuracy"] > 0.8
    assert not equal(made, student(config(bert, precision="float32"), sets[0]))


@pytest.mark.usefixtures("no_gpu")
def test_float16_needs_a_gpu(bert: Path) -> None:
    with pytest.raises(UsageError, match="float16 needs a GPU"):
        train_student(config(bert, precision="float16"), planted(20))


# -- divergence ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_it_at_once(bert: Path, steps: list[dict[str, Any]]) -> None:
    with pytest.raises(VariegateError) as caught:
        train_student(config(bert, learning_rate=1e30, max_grad_norm=1e30, warmup=0), planted(160))
    assert len(steps) < 10  # of 40
    message = str(caught.value)
    assert f"at step {len(steps)} of 40 (epoch 1), with learning_rate 1e+30" in message
    assert "--set learning_rate=3e+29" in message
    assert caught.value.exit_code == 1


@pytest.mark.slow
def test_weights_lost_in_the_last_step_are_found(bert: Path, sets: list[LabelledTexts], monkeypatch: pytest.MonkeyPatch) -> None:
    real = module._Watch.on_step_end

    def poison(self: Any, args: Any, state: Any, control: Any, model: Any, **rest: Any) -> None:
        real(self, args, state, control, **rest)
        if state.global_step == state.max_steps:
            with torch.no_grad():
                next(model.parameters())[0, 0] = float("nan")

    monkeypatch.setattr(module._Watch, "on_step_end", poison)
    with pytest.raises(VariegateError, match="diverged: a weight is no number"):
        train_student(config(bert, epochs=1), sets[0])


def test_a_dev_loss_that_is_no_number(bert: Path) -> None:
    watch = module._Watch(config(bert, patience=2), None)
    state = type("State", (), {"epoch": 2.0, "global_step": 24, "max_steps": 60})()
    arguments = type("Arguments", (), {"learning_rate": 0.1})()
    metrics = {"eval_accuracy": 0.5, "eval_macro_f1": 0.5, "eval_loss": float("inf")}
    with pytest.raises(VariegateError, match="the loss on the dev data is inf"):
        watch.on_evaluate(arguments, state, None, metrics, None)


# -- models and lengths ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_is_cut_is_counted(bert: Path) -> None:
    train, dev, _ = split(planted(120, words=(1, 20)), 80, 40, 0)
    made = student(config(bert, epochs=1, max_tokens=10), train, dev)
    for texts, name in ((train, "num_truncated"), (dev, "num_dev_truncated")):
        assert made.facts[name] == sum(len(text.split()) + 2 > 10 for text in texts.texts) > 0  # with [CLS] and [SEP]


def test_more_tokens_than_the_model_reads(bert: Path) -> None:
    with pytest.raises(UsageError, match=r"max_tokens: 33.*reads at most 32.*--set max_tokens=32"):
        train_student(config(bert, max_tokens=33), planted(20))


def test_roberta_reads_two_less_than_its_positions() -> None:
    settings = transformers.RobertaConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, max_position_embeddings=34
    )
    model = transformers.RobertaForSequenceClassification(settings)
    tokenizer = type("Tokenizer", (), {"model_max_length": 10**30})()
    assert longest(model, tokenizer) == 32
    model(torch.full((1, 32), 5))
    with pytest.raises((IndexError, RuntimeError)):
        model(torch.full((1, 33), 5))


def characters() -> dict[str, int]:
    letters = sorted({letter for word in (*OTHERS, "bird", "cat", "dog") for letter in word} | {"Ġ"})
    return {each: place for place, each in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *letters])}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["roberta", "distilbert"])
def test_other_architectures(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    if kind == "roberta":
        vocabulary = characters()
        transformers.RobertaTokenizer(vocab=vocabulary, merges=[], model_max_length=64).save_pretrained(tmp_path)
        sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        settings = transformers.RobertaConfig(vocab_size=len(vocabulary), max_position_embeddings=66, pad_token_id=1, bos_token_id=0, eos_token_id=2, **sizes)  # fmt: skip
        transformers.RobertaModel(settings).save_pretrained(tmp_path)
    else:
        vocabulary = {word: place for place, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *OTHERS])}
        transformers.DistilBertTokenizer(vocab=vocabulary, model_max_length=64).save_pretrained(tmp_path)
        transformers.DistilBertModel(
            transformers.DistilBertConfig(
                vocab_size=len(vocabulary), dim=16, n_layers=1, n_heads=2, hidden_dim=16, max_position_embeddings=64
            )
        ).save_pretrained(tmp_path)
    train = planted(40)
    made = student(config(tmp_path, epochs=1, max_tokens=64), train)
    assert len(made.predict(train.texts).labels) == 40
    both = LabelledTexts(tuple((str(text), str(text)) for text in train.texts), train.labels, train.ids, "pairs")
    assert len(student(config(tmp_path, epochs=1, max_tokens=64), both).predict(both.texts).labels) == 40


def test_models_that_cannot_be_had(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"no such folder"):
        train_student(config("./nowhere"), planted(20))
    with pytest.raises(UsageError, match="has no revisions: leave revision 'v2' out"):
        train_student(config(bert, revision="v2"), planted(20))
    (tmp_path / "config.json").write_text((bert / "config.json").read_text())
    with pytest.raises(UsageError, match=r"holds no \*\.safetensors weights"):
        train_student(config(tmp_path), planted(20))
    (tmp_path / "model.safetensors").write_bytes((bert / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(VariegateError, match="bytes where its header says"):
        train_student(config(tmp_path), planted(20))


def test_early_stopping_needs_dev_data(bert: Path) -> None:
    with pytest.raises(UsageError, match=r"patience: 3: .*--dev.*--dev-share 0\.1.*--set patience=null"):
        train_student(config(bert, patience=3), planted(20))


@pytest.mark.slow
def test_no_checkpoint_is_left(bert: Path, sets: list[LabelledTexts], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(module._Trainer, "_save_checkpoint", lambda *_: pytest.fail("a checkpoint is written"))
    student(config(bert, epochs=2, patience=1), sets[0], sets[1])
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_whose_weights_do_not_fit_is_not_trained_from_noise(bert: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(bert, tmp_path / "renamed")
    weights = load_file(bert / "model.safetensors")
    save_file(
        {f"wrapped.{name}": each for name, each in weights.items()}, tmp_path / "renamed" / "model.safetensors", metadata={"format": "pt"}
    )
    with pytest.raises(UsageError, match=r"its weights lack \d+ of the network's tensors .* The weights hold others: wrapped\."):
        train_student(config(tmp_path / "renamed"), planted(20))
