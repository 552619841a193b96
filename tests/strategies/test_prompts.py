from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from jinja2.sandbox import SandboxedEnvironment

from variegate.errors import ConfigError
from variegate.kinds.task import LabelConfig
from variegate.strategies.prompts import Prompts, sentence_case, template_names, with_article

LABEL = SimpleNamespace(phrase="about space", title="sci fi", description="Plays in space.")


def test_chungs_block_has_three_lines_and_an_open_quotation() -> None:
    block = Prompts().render("chung_block", text_type="essay", label=LABEL)
    assert block == 'Write an essay that covers the element below.\nElement: about space\nEssay: "'


def test_li_generate_names_style_and_limit_only_where_there_are_any() -> None:
    render = Prompts().render
    bare = 'Write a plot for the category "sci fi". Plays in space.'
    assert render("li_generate", text_type="plot", label=LABEL, style=None, word_limit=None) == bare
    assert render("li_generate", text_type="plot", label=LABEL, style="dry", word_limit=9) == bare + " Style: dry. At most 9 words."


def test_mixing_gives_shares_that_sum_to_100() -> None:
    out = Prompts().render("mix", text_type="plot", label=LABEL, partner=SimpleNamespace(title="love", description="Love."), percent=70)
    assert '70% "sci fi" and 30% "love"' in out


def test_articles_and_capitals() -> None:
    assert [with_article(noun) for noun in ("question", "ordinary text", "SMS")] == ["a question", "an ordinary text", "a SMS"]
    assert sentence_case("FAQ entry") == "FAQ entry"
    assert sentence_case("tweet") == "Tweet"


def test_an_override_replaces_one_template_only() -> None:
    prompts = Prompts({"cue": "Go, {{ text_type }}:"})
    assert prompts.render("cue", text_type="tweet") == "Go, tweet:"
    assert prompts.render("li_diversity") == Prompts().render("li_diversity")


def test_the_text_of_a_value_is_never_a_template() -> None:
    assert Prompts({"cue": "{{ text_type }}"}).render("cue", text_type="{{ 7 * 7 }} <b>") == "{{ 7 * 7 }} <b>"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{ colour }}", "'colour' is undefined"),
        ("{{ ''.__class__ }}", "unsafe"),
        ("{{ text_type.__class__.__mro__ }}", "unsafe"),
        ("{{ text_type | attr('__class__') }}", "unsafe"),
        ("{% include '/etc/passwd' %}", "."),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ text_type + 1 }}", "str"),
        ("{{ range(10 ** 9) | list }}", "Range too big"),
        ("{{ 'a'.colour }}", "has no attribute 'colour'"),
    ],
)
def test_a_template_that_cannot_be_filled_in_is_a_config_error(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=rf"strategy\.templates\.cue: cannot be filled in: .*{says}.*Known values: text_type"):
        Prompts({"cue": text}).render("cue", text_type="tweet")


def test_wrong_overrides() -> None:
    with pytest.raises(ConfigError, match="unknown template 'chung_bloc'; did you mean 'chung_block'"):
        Prompts({"chung_bloc": ""})
    with pytest.raises(ConfigError, match=r"strategy\.templates\.cue: not a Jinja2 template"):
        Prompts({"cue": "{% if %}"})
    assert {"chung_block", "li_generate", "classify", "mix", "another"} <= set(template_names())


def test_a_text_is_asked_for_by_its_attributes_and_slots() -> None:
    attributes = [{"title": "card", "description": "to ask about a card"}, {"title": "how long", "description": "asking how long it takes"}]
    asked = Prompts().render("attributes", text_type="message to a bank", attributes=attributes, slots=["date: 4 April"])
    assert asked == (
        "Write a message to a bank that has all of the attributes below.\n- card: to ask about a card\n- how long: asking how long it takes\n"
        'It names: date: 4 April\nMessage to a bank: "'
    )
    assert "It names" not in Prompts().render("attributes", text_type="message", attributes=attributes, slots=[])


def test_the_content_beside_a_soft_prompt_is_numbered() -> None:
    """METHODS 3.3: meta-data, the domain, numbered examples, and the next number as the cue."""
    render = Prompts().render
    assert render("attribute_content", domain="hotels", slots=["date: 4 April", "rooms: two"], examples=["first one", "second one"]) == (
        'date: 4 April; rooms: two; in the hotels domain:\n1) first one\n2) second one\n3) "'
    )
    assert render("attribute_content", domain="hotels", slots=[], examples=[]) == 'in the hotels domain:\n1) "'


def test_attributes_and_slots_are_asked_of_a_text() -> None:
    for name, cue in (("name_attributes", "Attributes:"), ("name_slots", "Slots:")):
        assert Prompts().render(name, text_type="message", text="a room please") == f'Message: "a room please"\n{cue}'


ATTACKS = [
    "{{ WHAT.parse_raw('cos\\nsystem\\n(S\"touch ' ~ text_type ~ '\"\\ntR.', proto='pickle', allow_pickle=true) }}",
    "{{ WHAT['parse_raw']('cos\\nsystem\\n(S\"touch ' ~ text_type ~ '\"\\ntR.', proto='pickle', allow_pickle=true) }}",
    "{{ (WHAT | attr('parse_raw'))('cos\\nsystem\\n(S\"touch ' ~ text_type ~ '\"\\ntR.', proto='pickle', allow_pickle=true) }}",
    "{{ WHAT.parse_file(text_type, proto='pickle', allow_pickle=true) }}",
    "{{ WHAT.model_construct(title='x') }}",
    "{{ WHAT.model_copy() }}",
    "{{ WHAT.__class__ }}",
    "{{ WHAT.__dict__ }}",
    "{{ WHAT.__init__.__globals__ }}",
    "{{ WHAT.title.format.__globals__ }}",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_template_has_nothing_to_call(tmp_path: Path, attack: str) -> None:
    """`parse_raw` of a pydantic model given as it is ran the shell command of a pickle, through the sandbox."""
    mark = tmp_path / "run"
    label = LabelConfig(phrase="p", description="d", title="t")
    for what, values in {
        "label": {"label": label},
        "labels[0]": {"labels": [label]},
        "examples[0].label": {"examples": ({"label": label, "text": "x"},)},
        "by_name.a": {"by_name": {"a": label}},
    }.items():
        with pytest.raises(ConfigError, match=r"cue: cannot be filled in: .*(has no attribute|unsafe|undefined)"):
            Prompts({"cue": attack.replace("WHAT", what)}).render("cue", text_type=str(mark), **values)
        assert not mark.exists()


def test_the_attack_would_work_on_what_is_not_made_plain(tmp_path: Path) -> None:
    """So that the test above can fail: in the bare sandbox the first attack runs its command."""
    mark = tmp_path / "run"
    label = LabelConfig(phrase="p", description="d", title="t")
    with pytest.warns(DeprecationWarning, match="parse_raw"), pytest.raises(ValueError, match="LabelConfig"):
        SandboxedEnvironment().from_string(ATTACKS[0].replace("WHAT", "label")).render(label=label, text_type=str(mark))
    assert mark.exists()


def test_a_label_shows_its_words_whatever_its_config_class_can_do() -> None:
    label = LabelConfig(phrase="p", description="d", title="t")
    text = "{{ label.title }} {{ label['phrase'] }} {{ label.description }} {{ label.json is defined }}"
    assert Prompts({"cue": text}).render("cue", label=label) == "t p d False"


def test_a_template_changes_nothing_of_ours() -> None:
    history, about = ["a"], {"b": "c"}
    text = "{{ about.update(b='changed') }}{{ about.b }} {{ history is sequence }}"
    assert Prompts({"cue": text}).render("cue", history=history, about=about) == "Nonechanged True"
    assert about == {"b": "c"}
    with pytest.raises(ConfigError, match="append"):
        Prompts({"cue": "{{ history.append('x') }}"}).render("cue", history=history)


@pytest.mark.parametrize("value", [Path("x"), object(), b"x", Prompts, ConfigError("x"), [Path("x")], {"a": object()}])
def test_a_value_that_is_not_plain_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="a prompt template was given a"):
        Prompts().render("cue", text_type="tweet", value=value)
