"""Keys: one-key commands, choosing speakers by number, typing names, and changing one's mind."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from speakrs_clients.dialogue import (
    LONGEST_NAME,
    NOTHING,
    Action,
    Dialogue,
    Merge,
    Pause,
    Quit,
    Rename,
    Save,
    press,
)


def type_in(keys: Sequence[str], speakers: Sequence[int]) -> tuple[Dialogue, list[Action]]:
    """Press keys one after the other."""
    dialogue, actions = NOTHING, []
    for key in keys:
        dialogue, action = press(dialogue, key, speakers)
        actions += [action] if action is not None else []
    return dialogue, actions


def test_one_key_commands() -> None:
    assert type_in([" ", "s", "Q", "x", "enter", "escape"], [1, 2]) == (NOTHING, [Pause(), Save(), Quit()])


def test_naming() -> None:
    dialogue, actions = type_in("n2", [1, 2, 3])
    assert not actions and dialogue.asks_for_name and dialogue.question == "name of S2:"
    assert type_in([*"n2", *" Bob q ", "enter"], [1, 2, 3]) == (NOTHING, [Rename(2, "Bob q")])
    assert type_in([*"nZoë", "backspace", "e", "enter"], [7]) == (NOTHING, [Rename(7, "Zoe")])


def test_merging() -> None:
    dialogue, _ = type_in("m3", [1, 2, 3])
    assert dialogue.question == "S3 is the same person as?"
    assert type_in("m31", [1, 2, 3]) == (NOTHING, [Merge(3, 1)])
    assert type_in("m331", [1, 2, 3]) == (NOTHING, [Merge(3, 1)])  # nobody is merged into himself


def test_numbers_of_several_digits() -> None:
    everybody = [1, 2, 12, 13]
    assert type_in("m12", everybody)[0].picked == (12,)
    assert type_in(["m", "1", "enter"], everybody)[0].picked == (1,)
    assert type_in("m22", everybody)[0].picked == (2,)  # no other begins with 2
    assert type_in(["m", "1", "backspace", "2"], everybody)[0].picked == (2,)
    assert type_in(["m", "9", "x", "enter"], everybody)[0] == Dialogue("merge")


def test_changing_ones_mind() -> None:
    assert type_in(["n", "escape"], [1, 2])[0] == NOTHING
    assert type_in(["n", "1", "A", "escape"], [1, 2]) == (NOTHING, [])
    assert type_in(["m", "1", "backspace"], [1, 2])[0] == Dialogue("merge")
    assert type_in(["n", "1", "A", "backspace", "backspace"], [1, 2])[0] == Dialogue("rename")
    assert type_in(["n", "1", " ", "enter"], [1, 2]) == (NOTHING, [])


def test_questions_without_anybody_to_ask_about() -> None:
    assert type_in("n", [])[0] == NOTHING
    assert type_in("m", [1])[0] == NOTHING


def test_names_are_bounded() -> None:
    _, actions = type_in(["n", *"x" * 100, "enter"], [1])
    assert actions == [Rename(1, "x" * LONGEST_NAME)]


keys = st.sampled_from([*"nmsq 0123456789ab", "enter", "escape", "backspace"])


@given(st.lists(keys, max_size=30), st.lists(st.integers(1, 30), unique=True, max_size=6))
def test_any_keys_give_sensible_actions(pressed: list[str], speakers: list[int]) -> None:
    dialogue, actions = type_in(pressed, speakers)
    for action in actions:
        if isinstance(action, Rename):
            assert action.speaker in speakers and action.name.strip()
        if isinstance(action, Merge):
            assert action.speaker != action.into and {action.speaker, action.into} <= set(speakers)
    assert set(dialogue.picked) <= set(speakers)
    assert press(dialogue, "escape", speakers)[0] == NOTHING
