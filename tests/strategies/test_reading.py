from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies.conftest import make_task
from variegate.records import Completion, Message, Request, Sampling
from variegate.strategies.reading import Reader, strip_quotes

BLOCK = 'Write a tweet that covers the element below.\nElement: joy\nTweet: "'
LABELS = {
    "joy": {"phrase": "joy or delight", "description": "Is happy."},
    "anger": {"phrase": "anger or outrage", "description": "Is cross."},
}


def judge(
    text: str, reason: str = "stop", *, prompt: str = BLOCK, keep: bool = False, chat: bool = False, kind: str = "tweet"
) -> tuple[str, str]:
    task = make_task(text_type=kind, labels=LABELS)
    request = Request((Message("system", "You often write about films."), Message("user", prompt)), Sampling())
    piece = Reader(task, chat=chat, keep_unfinished=keep).one_text(request, Completion("k", text, (), reason, 3))
    return piece.text, piece.reason


def chat(text: str, kind: str = "tweet") -> str:
    """What is read in a chat model's answer, or the reason in capitals."""
    read, reason = judge(text, chat=True, kind=kind)
    return reason.upper() or read


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (" I am\n so\tglad ", "I am so glad"),
        ('"I am glad"', "I am glad"),
        ("“I am glad.”", "I am glad."),
        ("'tis good, isn't it'", "'tis good, isn't it'"),
        ('"Go" and "stop"', '"Go" and "stop"'),
        ('" glad "', "glad"),
        ("42", "42"),
        ("好", "好"),
        ("Element: joy", "Element: joy"),  # two words: no whole sentence of the instruction
    ],
)
@pytest.mark.parametrize("of_chat", [False, True])
def test_kept(raw: str, text: str, of_chat: bool) -> None:
    if not (of_chat and raw.startswith("Element")):
        assert judge(raw, chat=of_chat) == (text, "")


@pytest.mark.parametrize(
    "raw",
    [
        "Sure! Here is a tweet: so glad.",
        'Tweet: "so glad"',
        "1. glad\n2. happy",
        "I'm an AI language model.",
        "Dear [Your Name], so glad.",
        '"so glad" This tweet conveys joy.',
    ],
)
def test_what_a_model_of_plain_text_wrote_stands_as_it_is(raw: str) -> None:
    assert judge(raw) == (" ".join(raw.split()), "")


@pytest.mark.parametrize("raw", ["", "  \n", '""', "...", '"!"', "🙂"])
@pytest.mark.parametrize("of_chat", [False, True])
def test_nothing_but_marks_is_empty(raw: str, of_chat: bool) -> None:
    assert judge(raw, chat=of_chat) == (raw, "empty")


@pytest.mark.parametrize("of_chat", [False, True])
def test_unfinished_texts_are_kept_only_on_demand(of_chat: bool) -> None:
    assert judge("I am", "length", chat=of_chat) == ("I am", "unfinished")
    assert judge("I am", "length", keep=True, chat=of_chat) == ("I am", "")


def test_an_explanation_that_was_cut_off_leaves_a_finished_text() -> None:
    assert judge('"I am so glad."\n\nThis tweet conveys', "length", chat=True) == ("I am so glad.", "")
    assert judge("1. I am glad.\n2. I am", "length", chat=True) == ("I am glad.", "")
    assert judge("As an AI language model, I", "length", chat=True)[1] == "persona"  # more tokens would not mend it


def test_an_echo_of_the_instruction_is_dropped_but_not_of_an_example() -> None:
    assert judge("Sure! write A tweet that covers the element below. Here:")[1] == "echo"
    example = 'Write a tweet for the category "joy". Shows that one is glad.\n- joy: I am so very glad today\nImitate the examples, please do.\nTweet: "'
    assert judge("joy: I am so very glad today", prompt=example)[1] == ""
    assert judge("Imitate the examples, please do.", prompt=example)[1] == "echo"
    assert judge("Shows that one is glad.", prompt=example)[1] == "echo"
    assert judge("You often write about films.")[1] == "echo"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Sure! Here is a tweet about joy:\n\nSo glad today.", "So glad today."),
        ("Certainly!\n\nSo glad today.", "So glad today."),
        ('Here\'s a possible one: "So glad today."', "So glad today."),
        ("Tweet: So glad today.", "So glad today."),
        ("**Tweet:** So **glad** today.", "So glad today."),
        ("### Tweet (joy):\nSo glad today.", "So glad today."),
        ("Joy: So glad today.", "So glad today."),
        ("Label: joy\nTweet: So glad today.", "So glad today."),
        ("1. So glad today.\n2. Glad again.", "So glad today."),
        ("- So glad today.\n- Glad again.", "So glad today."),
        ("“So glad today.”\n“Glad again.”", "So glad today."),
        ('"So glad today.', "So glad today."),
        ('So glad today."', "So glad today."),
        ('"So glad to see "Alien" today."', 'So glad to see "Alien" today.'),
        ('"So glad today." This tweet is about joy, so it fits.', "So glad today."),
        ("So glad today.\n\nExplanation: it is joyful.", "So glad today."),
        ("So glad today. This tweet captures joy.", "So glad today."),
        ("So glad today.\n\nTweet: Glad again.", "So glad today."),
        ('The tweet is "So glad today."', "So glad today."),
        ("```\nSo glad today.\n```", "So glad today."),
        ('```text\n"So glad today."\n```', "So glad today."),
    ],
)
def test_what_stands_around_a_chat_models_text_is_taken_off(raw: str, text: str) -> None:
    assert chat(raw) == text


@pytest.mark.parametrize(
    "text",
    [
        "Sure, it is a bad film, but I cried.",
        "Here is how I see it: a good film.",
        'He said: "go" and we went.',
        "f**k this, I am off *sigh*",
        "Things that I love: bread, cheese.",
        "I can't provide for my family and I'm sorry.",
        "I'm unable to access my account, how can I change that?",
        "My name is Ann and I want to send a letter.",
        "The element of surprise was gone.",
        "Dear bank,\nI hope this message finds you well.\nLet me know what you think.",
        "A film for all.\n\nThis is a great film.\n\nTo make it worse, it rained.",
        "Loved it [SPOILERS] and [sic] all.",
        "“Alien”\n\nA classic, and rightly so.",
        "2012 was a good year: we met.",
        "10 reasons to stay",
    ],
)
@pytest.mark.parametrize("kind", ["tweet", "movie review", "message to a bank's customer support"])
def test_a_text_that_is_simply_fine_is_never_cut(text: str, kind: str) -> None:
    assert chat(text, kind) == " ".join(text.split())


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("I'm sorry, but I cannot fulfill this request.", "refusal"),
        ("I am unable to provide a tweet about that.", "refusal"),
        ("Unfortunately, I can’t write such a tweet.", "refusal"),
        ("As an AI language model, I have no feelings.", "persona"),
        ("I'm SmolLM, a helpful assistant.", "persona"),
        ("You are a helpful assistant.", "persona"),
        ("Hello! How can I help you today?", "persona"),
        ("I'm here to help you with your tweets.", "persona"),
        ("A tweet about joy or delight.", "meta"),
        ("This tweet is designed to convey joy.", "meta"),
        ('The element of joy or delight is "The element of joy or delight."', "meta"),
        ("I'll create a new tweet that is more joyful.", "meta"),
        ("Hi [Your Name], so glad to see you!", "placeholder"),
        ("Hi [customer_name], so glad to see you!", "placeholder"),
        ("Write a tweet that shows joy.", "echo"),
        ("Joy or delight.", "echo"),
        ("Here's the tweet:", "empty"),
        ("<think>\nThey want joy. So glad", "thinking"),
    ],
)
def test_what_is_no_text_is_refused_by_name(raw: str, reason: str) -> None:
    assert chat(raw) == reason.upper()


def test_what_a_reasoning_model_thought_is_no_part_of_its_answer() -> None:
    for thought in ("<think>\nThey want joy.\n</think>\n\n", "They want joy.</think>", "<think></think>"):
        assert chat(f"{thought}So glad to be here today!") == "So glad to be here today!"
    assert judge("<think> is a tag of theirs", chat=False)[0] == "<think> is a tag of theirs"


def test_a_question_or_a_headline_ends_with_its_line() -> None:
    assert chat("Who is he?\nThe answer is Bob.", "question") == "Who is he?"
    assert chat("Man bites dog\nDog bites man", "news headline") == "Man bites dog"
    assert chat("Who is he?\nA friend.") == "Who is he? A friend."


def test_a_task_of_replies_may_offer_help() -> None:
    assert chat("Hello! How can I help you today?", "reply of a support agent") == "Hello! How can I help you today?"


PIECES = [
    '"',
    "\n",
    '"\n',
    '" ',
    'x" ',
    "* ",
    "**a** ",
    "- \n",
    "1. ",
    "```\n",
    "a: ",
    "'a ",
    "“a”",
    "here is the text ",
    "[your ",
    "\nnote",
    "this tweet ",
]


@pytest.mark.parametrize("piece", PIECES)
def test_a_long_answer_takes_no_time(piece: str) -> None:
    start = time.process_time()
    chat(piece * (100_000 // len(piece)))
    assert time.process_time() - start < 1


@given(st.text(alphabet="ab.:?! \n\"'“”*-1[]", max_size=30))
def test_whatever_a_chat_model_answers_is_read_or_refused(answer: str) -> None:
    read, reason = judge(answer, chat=True)
    assert reason or (read == " ".join(read.split()) and set(read) <= set(answer) | {" "})


@given(st.text(max_size=20))
def test_stripping_quotes_only_ever_takes_from_the_ends(text: str) -> None:
    out = strip_quotes(text)
    assert out in text
    assert len(text) - len(out) in (0, *range(2, len(text) + 1))


@pytest.mark.parametrize(
    ("said", "chat", "finish", "expected"),
    [
        (" When was it?\nAnswer: in 1742\nQuestion: more", False, "stop", "Question: When was it?\nAnswer: in 1742"),
        (" When was it? Answer: in 1742", False, "stop", "Question: When was it?\nAnswer: in 1742"),
        ('Sure!\n\n**Question:** "When was\nit?"\n**Answer:** in 1742\n\nThis asks ...', True, "stop", "Question: When was it?\nAnswer: in 1742"),
        ("<think>hm</think>question: Who?\nanswer: he", True, "stop", "Question: Who?\nAnswer: he"),
        (" When was it?\nAnswer: in 17", False, "length", ("unfinished",)),
        (" When was it?\nAnswer: in 1742\nQue", False, "length", "Question: When was it?\nAnswer: in 1742"),
        (" When was it?", False, "stop", ("part_missing",)),
        (" When was it?\nAnswer:", False, "stop", ("part_missing",)),
        (" \n ", False, "stop", ("empty",)),
        ("<think>hm", True, "length", ("thinking",)),
        (" Write one for me please now.\nAnswer: it", False, "stop", ("echo",)),
    ],
)  # fmt: skip
def test_an_answer_of_named_lines(said: str, chat: bool, finish: str, expected: str | tuple[str]) -> None:
    reader = Reader(make_task(text_type="question"), chat=chat, keep_unfinished=False)
    request = Request((Message("user", "Write one for me please now.\nQuestion:"),), Sampling())
    piece = reader.lines(request, Completion("k", said, (), finish, 1), ("Question", "Answer"))
    assert ((piece.reason,) if piece.reason else piece.text) == expected


def several(text: str, finish: str = "stop", *, of_chat: bool = True, **asked: object) -> list[tuple[str, str]]:
    request = Request((Message("user", "Write 3 tweets, one a line, and nothing else.\n"),), Sampling())
    reader = Reader(make_task(text_type="tweet", labels=LABELS), chat=of_chat, keep_unfinished=False)
    pieces = reader.texts(request, Completion("k", text, (), finish, 3), **{"number": 3, **asked})  # type: ignore[arg-type]
    return [(piece.text, piece.reason) for piece in pieces]


def test_each_text_of_a_list_is_read_as_a_single_one_is() -> None:
    said = 'Sure!\n1. "So glad."\n2. Tweet: So cross!\nThis tweet conveys anger.\n3. I cannot write such a tweet.\n4. …'
    assert several(said) == [("So glad.", ""), ("So cross!", ""), ("I cannot write such a tweet.", "refusal"), ("…", "empty")]


def test_an_answer_without_a_list_is_one_piece() -> None:
    assert several("So glad of it.") == [("So glad of it.", "no_list")]
    assert several("I'm sorry, I cannot write such a tweet.") == [("I'm sorry, I cannot write such a tweet.", "refusal")]
    assert several("So glad of it.", number=1) == [("So glad of it.", "")]
    assert several("<think>1. So") == [("<think>1. So", "thinking")]


def test_what_only_one_prompt_needs_is_taken_off_by_its_strategy() -> None:
    assert several("1. So glad @end\n2. So cross @end", clean=lambda text: text.removesuffix(" @end")) == [
        ("So glad", ""),
        ("So cross", ""),
    ]
    assert several("1. So glad of it.\n2. So cross.", most_words=3) == [("So glad of it.", "too_long"), ("So cross.", "")]


def test_a_list_of_plain_text_goes_on_from_its_cue() -> None:
    assert several('So glad."\n2. "So cross', "length", of_chat=False, cue='1. "') == [("So glad.", ""), ('"So cross', "unfinished")]
    assert several("So glad.\nand then on\n2. So cross", of_chat=False, cue="1. ") == [("So glad.", ""), ("So cross", "")]
