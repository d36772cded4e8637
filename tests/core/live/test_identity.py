"""Who is who in scripted conversations of voices that a good network tells apart."""

from __future__ import annotations

import json

import numpy as np
import pytest

from speakrs_stream.core.aggregation import UNASSIGNED
from speakrs_stream.core.config import ClusteringConfig, SpeakerBounds
from speakrs_stream.core.events import SpeakerCreated, SpeakerMerged, SpeakerNamed, SpeakerSplit
from speakrs_stream.core.grid import SAMPLE_RATE
from speakrs_stream.core.live.config import LiveConfig
from speakrs_stream.core.live.identity import Heard, Identity
from speakrs_stream.core.powerset import LOCAL_SPEAKERS
from tests.live_conversations import DIMENSION, Room, apart, beside, plda

SMALL = LiveConfig(recent_items=48, group_items=32, recluster=30 * SAMPLE_RATE)


def alike(cosine: float, voices: int = 2) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Voices of which the first two are as like as `cosine` says."""
    points = apart(max(voices, 2))
    points[1] = beside(points[0], points[1], cosine)
    return points


def settled(room: Room, voices: list[int], windows: int = 12) -> dict[int, int]:
    """Voice -> its only number over the next windows."""
    found = room.numbers(room.chat(voices, windows))
    assert all(len(numbers) == 1 for numbers in found.values()), found
    return {voice: numbers.pop() for voice, numbers in found.items()}


def restored(identity: Identity) -> Identity:
    plain, arrays = identity.state()
    again = Identity(identity.live, identity.clustering, identity.plda)
    again.restore(json.loads(json.dumps(plain)), {name: rows.copy() for name, rows in arrays.items()})
    return again


# -- permanent numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [LiveConfig(), SMALL])
def test_a_voice_silent_for_twenty_five_minutes_keeps_its_number(live: LiveConfig) -> None:
    room = Room(apart(4), live, every=4.0)
    room.chat([0, 1, 2, 3], 40)
    before = settled(room, [0, 1, 2, 3])
    assert len(set(before.values())) == 4
    room.chat([0, 1], 25 * 15)
    assert settled(room, [2, 0]) == {2: before[2], 0: before[0]}
    room.chat([0, 1], 25 * 15)
    assert settled(room, [3]) == {3: before[3]}
    assert len([event for event in room.events if isinstance(event, SpeakerCreated)]) <= 5


def test_after_an_hour_of_silence_everybody_is_known() -> None:
    room = Room(apart(3))
    room.chat([0, 1, 2], 40)
    before = settled(room, [0, 1, 2])
    room.quiet(3_600)
    assert settled(room, [0, 1, 2]) == before


@pytest.mark.parametrize("seed", range(4))
def test_somebody_new_has_a_number_within_seconds_of_speech(seed: int) -> None:
    room = Room(apart(6), seed=seed)
    room.chat([0], 10)
    for newcomer in range(1, 6):
        old = {room.hear(voice)[0] for voice in range(newcomer)}
        numbers = [room.hear(newcomer, seconds=2.5 + windows)[0] for windows in range(5)]
        assert numbers[-1] not in old and numbers[2] == numbers[-1], "two more seconds suffice"
        room.chat(list(range(newcomer + 1)), 15)
    before = settled(room, list(range(6)), 30)
    assert len(set(before.values())) == 6


def test_somebody_new_is_found_late_in_a_long_call() -> None:
    room = Room(apart(4), SMALL, every=2.0)
    room.chat([0, 1, 2], 1_500)
    before = settled(room, [0, 1, 2])
    room.hear(3)
    numbers = [room.hear(3)[0] for _ in range(4)]
    assert numbers[-1] == numbers[-2] == max(before.values()) + 1


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("live", [LiveConfig(), SMALL])
def test_somebody_unlike_everybody_has_a_number_after_two_clean_seconds(live: LiveConfig, seed: int) -> None:
    """At once, whoever was there before, and nobody else takes it."""
    room = Room(apart(5), live, seed=seed)
    known = 1 + seed % 4
    room.chat(list(range(known)), 40)
    before = settled(room, list(range(known)), 30)
    events = len(room.events)
    [number] = room.hear(known, seconds=2.1)
    assert room.events[events:] == [SpeakerCreated(number, room.processed - SAMPLE_RATE)]
    assert settled(room, list(range(known + 1)), 60) == before | {known: number}


def test_somebody_waits_for_clusters_who_spoke_less_or_sounds_a_little_like_others_or_by_the_settings() -> None:
    for seconds, cosine, limit in ((1.9, 0.0, 0.4), (2.1, 0.6, 0.4), (2.1, 0.0, -1.0)):
        room = Room(alike(cosine), LiveConfig(newcomer_similarity=limit), every=10.0)
        room.chat([0], 20)
        assert room.hear(1, seconds=seconds) == [1]
        room.hear(1)
        room.hear(1)
        assert room.hear(1) == [2]


def test_however_unlike_nobody_is_new_where_there_are_as_many_as_the_user_says() -> None:
    room = Room(apart(3))
    room.identity.hint(SpeakerBounds(1, 2))
    room.chat([0, 1], 30)
    assert room.hear(2)[0] in (1, 2)
    assert len(room.identity.people) == 2


def test_a_preview_makes_nobody_new_however_unlike() -> None:
    room = Room(apart(2))
    room.chat([0], 10)
    row = np.full((LOCAL_SPEAKERS, DIMENSION), np.nan, np.float32)
    row[0] = apart(2)[1]
    spoken = np.array([200, 0, 0])
    numbers, events, _ = room.identity.push(Heard(-1, room.processed, row, spoken, spoken))
    assert numbers.tolist() == [1, UNASSIGNED, UNASSIGNED] and not events


def test_a_voice_print_of_length_zero_makes_nobody_new_and_changes_nobody() -> None:
    room = Room(apart(2))
    room.chat([0, 1], 20)
    before = [room.identity.people[number].raw.copy() for number in (1, 2)]
    kept, events = len(room.identity.memory), len(room.events)
    row = np.full((LOCAL_SPEAKERS, DIMENSION), np.nan, np.float32)
    row[0] = 0
    spoken = np.array([400, 0, 0])
    numbers, news, _ = room.identity.push(Heard(10**6, room.processed, row, spoken, spoken))
    assert numbers[0] in (1, 2) and not news, "who speaks is somebody all the same"
    assert (len(room.identity.memory), len(room.events)) == (kept, events)
    for number, raw in zip((1, 2), before, strict=True):
        assert np.array_equal(room.identity.people[number].raw, raw)


def test_clusters_that_sound_like_one_voice_are_one_person_however_often_they_are_found() -> None:
    """VBx parts two voices as like as these; the model, made lenient here, does not."""
    for lenient in (False, True):
        room = Room(alike(0.7), LiveConfig(newcomer_score=-1e9 if lenient else 0.0))
        room.chat([0], 15)
        room.chat([1], 30)
        assert len(room.identity.people) == (1 if lenient else 2)
    room.identity.hint(SpeakerBounds(2, 2))
    room.chat([0, 1], 5)
    assert len(room.identity.people) == 2, "unless the user says that there are more"


def test_the_more_is_remembered_the_longer_is_waited_between_clusterings() -> None:
    room, last, waits = Room(apart(3)), 0, []
    for second in range(300):  # a new embedding each
        before = room.identity.reclusterings
        room.hear(second // 10 % 3)
        if room.identity.reclusterings > before:
            waits.append((second, second - last, len(room.identity.memory)))
            last = second
    assert len([wait for second, wait, _ in waits if second < 60 and wait == 1]) >= 50
    later = [(wait, remembered) for second, wait, remembered in waits if second > 70]
    assert all(max(5, 5 * remembered / 64) <= wait <= 1 + 5 * 256 / 64 for wait, remembered in later)
    assert 15 <= len(later) <= 25


def test_noise_alone_makes_no_new_speakers() -> None:
    room = Room(apart(2), spread=0.5)
    heard = room.chat([0, 1], 400)
    assert len({number for numbers in room.numbers(heard[40:]).values() for number in numbers}) == 2
    assert len([event for event in room.events if isinstance(event, SpeakerCreated)]) <= 4


def test_short_words_make_no_new_speaker() -> None:
    room = Room(apart(3))
    room.chat([0, 1], 30)
    before = len(room.events)
    for _ in range(20):
        room.hear(2, seconds=0.8)
        room.hear(0)
    assert len(room.events) == before


@pytest.mark.parametrize("cosine", [0.0, 0.3, 0.5, 0.7])
def test_voices_that_the_model_tells_apart_get_a_number_each(cosine: float) -> None:
    room = Room(alike(cosine))
    room.chat([0], 15)
    room.chat([0, 1], 20)
    found = settled(room, [0, 1], 30)
    assert found[0] != found[1]


@pytest.mark.parametrize("cosine", [0.9, 0.97])
def test_a_voice_heard_as_two_is_merged_once_and_not_minted_again(cosine: float) -> None:
    room = Room(alike(cosine))
    heard = room.chat([0, 1], 600)
    created = [event.speaker for event in room.events if isinstance(event, SpeakerCreated)]
    merged = [event for event in room.events if isinstance(event, SpeakerMerged)]
    assert len(created) <= 3 and len({event.speaker for event in merged}) == len(merged) <= 2
    assert {number for numbers in room.numbers(heard[-60:]).values() for number in numbers} <= {*created}, "all shown"


# -- hints ---------------------------------------------------------------------------------------------------------


def test_a_lowered_count_merges_and_a_raised_one_finds_them_again() -> None:
    room = Room(apart(3))
    room.chat([0, 1, 2], 40)
    assert len(set(settled(room, [0, 1, 2]).values())) == 3
    room.identity.hint(SpeakerBounds(2, 2))
    room.chat([0, 1, 2], 30)
    assert len(room.identity.people.living()) == 2
    merges = [event for event in room.events if isinstance(event, SpeakerMerged)]
    assert len(merges) == 1
    room.identity.hint(SpeakerBounds())
    room.chat([0, 1, 2], 30)
    after = settled(room, [0, 1, 2], 20)
    assert len(set(after.values())) == 3 and merges[0].speaker not in after.values(), "numbers are never used again"


def test_one_speaker_by_hint_is_one_number_however_many_are_heard() -> None:
    room = Room(apart(3))
    room.identity.hint(SpeakerBounds(1, 1))
    heard = room.chat([0, 1, 2], 60)
    assert room.numbers(heard) == {0: {1}, 1: {1}, 2: {1}}
    assert room.events == [SpeakerCreated(1, 160_000)]


def test_a_hint_of_more_splits_what_sounds_like_one() -> None:
    room = Room(alike(0.92), spread=0.15)
    room.chat([0], 20)
    room.identity.hint(SpeakerBounds(2, 2))
    room.chat([0, 1], 60)
    found = settled(room, [0, 1], 20)
    assert found[0] != found[1] and len(room.identity.people.living()) == 2


def test_a_late_split_of_what_was_shown_long_ago_is_announced() -> None:
    room = Room(apart(3), SMALL)
    room.identity.hint(SpeakerBounds(1, 1))
    room.chat([0, 1, 2], 200)
    room.identity.hint(SpeakerBounds())
    room.chat([0, 1, 2], 150)
    splits = [event for event in room.events if isinstance(event, SpeakerSplit)]
    created = [event.speaker for event in room.events if isinstance(event, SpeakerCreated)]
    assert splits and all(event.into[0] == event.speaker and event.into[1] in created for event in splits)
    assert len(set(settled(room, [0, 1, 2]).values())) == 3


def test_somebody_who_never_spoke_clearly_takes_no_place() -> None:
    """Beside two others, somebody says one second: a number, but not one of the two that the hint allows for ever."""
    room = Room(apart(4))
    room.identity.hint(SpeakerBounds(1, 3))
    room.chat([0, 1], 20)
    room.hear(0, 1, 2, seconds=1.2)
    assert len(room.identity.people.living()) == 3
    room.chat([0, 1], 20)
    room.chat([0, 1, 3], 20)
    found = settled(room, [0, 1, 3])
    assert len(set(found.values())) == 3


# -- what the user says --------------------------------------------------------------------------------------------


def test_same_holds_for_ever_whatever_the_voices() -> None:
    room = Room(apart(4), LiveConfig(recent_items=48, group_items=32))
    room.chat([0, 1, 2], 40)
    before = settled(room, [0, 1, 2])
    assert room.identity.same(before[1], before[0]) == [SpeakerMerged(before[1], before[0])]
    assert room.identity.same(before[1], before[0]) == room.identity.same(before[0], before[0]) == []
    events = len(room.events)
    for _ in range(4):
        assert room.numbers(room.chat([0, 1, 2], 60)) == {0: {before[0]}, 1: {before[0]}, 2: {before[2]}}
        room.identity = restored(room.identity)
    room.chat([0, 2], 150)
    assert settled(room, [1]) == {1: before[0]}, "also after a silence"
    assert len(room.events) == events
    room.chat([3, 0], 12)
    assert settled(room, [3, 0])[3] not in before.values(), "somebody else is still somebody else"


def test_same_in_a_chain_and_in_one_window() -> None:
    room = Room(apart(4))
    room.chat([0, 1, 2, 3], 40)
    before = settled(room, [0, 1, 2, 3], 20)
    room.identity.same(before[0], before[1])
    room.identity.same(before[2], before[0])
    assert room.identity.people.who(before[2]) == before[1]
    room.chat([0, 1, 2, 3], 60)
    for _ in range(5):
        assert room.hear(0, 1, 2) == [before[1]] * 3
        assert room.hear(2, 3, 0) == [before[1], before[3], before[1]]


@pytest.mark.parametrize("cosine", [0.9, 0.97])
def test_different_keeps_like_voices_apart_for_ever(cosine: float) -> None:
    room = Room(alike(cosine), LiveConfig(recent_items=48, group_items=32))
    room.chat([0, 1], 6)
    first, second = room.hear(0, 1)
    assert first != second
    room.identity.different(first, second)
    for _ in range(3):
        room.chat([0, 1], 60)
        room.identity = restored(room.identity)
        assert {*room.hear(0, 1)} == {first, second}
    assert not [event for event in room.events if isinstance(event, SpeakerMerged)]


def test_who_is_apart_from_one_is_apart_from_whom_it_is_merged_into() -> None:
    room = Room(alike(0.97, 3))
    room.chat([0, 1, 2], 8)
    first, second, third = room.hear(0, 1, 2)
    room.identity.different(first, second)
    room.identity.same(second, third)
    assert room.identity.told.are_apart(first, third)
    room.chat([0, 1], 60)
    assert first in {person.number for person in room.identity.people.living()}
    room.identity.same(third, first)
    assert not room.identity.told.apart, "the last word counts"


def test_people_with_different_names_are_not_merged() -> None:
    room = Room(alike(0.97))
    first, second = room.hear(0, 1)
    room.identity.rename(first, "Ann")
    room.identity.rename(second, "Bob")
    room.chat([0, 1], 100)
    assert not [event for event in room.events if isinstance(event, SpeakerMerged)]


def test_a_name_goes_over_to_whom_its_number_is_merged_into() -> None:
    room = Room(apart(3))
    room.chat([0, 1, 2], 30)
    found = settled(room, [0, 1, 2])
    assert room.identity.rename(found[1], "Ann") == [SpeakerNamed(found[1], "Ann")]
    merged = room.identity.same(found[1], found[0])
    assert merged == [SpeakerMerged(found[1], found[0]), SpeakerNamed(found[0], "Ann")]
    room.identity.rename(found[2], "Bob")
    assert room.identity.same(found[2], found[0]) == [SpeakerMerged(found[2], found[0])], "it has a name already"
    assert room.identity.rename(found[1], "Cid") == [SpeakerNamed(found[0], "Cid")]

    room = Room(alike(0.97))
    number = room.hear(0, 1)[0]
    room.identity.rename(number, "Ann")
    room.chat([0, 1], 60)
    [merge] = [event for event in room.events if isinstance(event, SpeakerMerged)]
    assert room.identity.people[merge.into].name == "Ann"
    assert (SpeakerNamed(merge.into, "Ann") in room.events) == (merge.speaker == number)


def test_a_rejected_voice_is_somebody_else_from_then_on() -> None:
    """Two like voices under one number: the user says that what was heard last is not that person."""
    room = Room(alike(0.6), LiveConfig(newcomer_score=-1e9, cluster_items=10_000))
    room.chat([0], 15)
    [number] = room.hear(0)
    before = room.window
    assert room.hear(1, seconds=4) == [number]
    key = LOCAL_SPEAKERS * before
    items = room.identity.memory.items()
    assert key in items.key
    events = room.identity.reject(number, room.processed, {key: items.raw[items.key == key][0].astype(np.float32)})
    assert events == [SpeakerCreated(2, room.processed)]
    assert room.identity.told.rejected(key) == {number}
    for _ in range(30):
        assert room.hear(0) == [number] and room.hear(1) == [2]
    room.identity = restored(room.identity)
    assert room.hear(1) == [2] and room.identity.told.are_apart(1, 2)


def test_what_was_rejected_is_nobody_rather_than_that_number() -> None:
    room = Room(apart(1))
    room.chat([0], 5)
    row = np.full((LOCAL_SPEAKERS, DIMENSION), np.nan, np.float32)
    row[1] = room.identity.people[1].raw
    spoken = np.array([0, 100, 0])
    heard = Heard(50, room.processed, row, spoken, spoken)
    assert room.identity.assign([heard]).tolist() == [[UNASSIGNED, 1, UNASSIGNED]]
    created = [SpeakerCreated(2, room.processed)]
    assert room.identity.reject(1, room.processed, {LOCAL_SPEAKERS * 50 + 1: row[1]}) == created
    assert room.identity.assign([heard]).tolist() == [[UNASSIGNED, 2, UNASSIGNED]]
    room.identity.told.reject([LOCAL_SPEAKERS * 50 + 1], 2, 3)
    assert room.identity.assign([heard]).tolist() == [[UNASSIGNED] * 3]


# -- voices --------------------------------------------------------------------------------------------------------


def test_enrolled_voices_are_recognised_when_they_are_heard() -> None:
    points = apart(4)
    room = Room(points)
    assert room.identity.enrol("Ann", points[1] * 7) == []
    room.identity.enrol("Nobody", points[3])
    room.chat([0, 1, 2], 30)
    names = [event for event in room.events if isinstance(event, SpeakerNamed)]
    found = settled(room, [0, 1, 2])
    assert names == [SpeakerNamed(found[1], "Ann")]
    assert room.identity.enrol("Cleo", points[2]) == [SpeakerNamed(found[2], "Cleo")], "also who was heard before"
    assert room.identity.enrol("Eve", points[2]) == [], "a number has one name"
    again = restored(room.identity)
    assert sorted(again.voices) == sorted(room.identity.voices) == ["Ann", "Cleo", "Eve", "Nobody"]
    assert again.people[found[1]].name == "Ann"


def test_of_like_voices_the_likest_gets_the_name() -> None:
    points = alike(0.7)
    room = Room(points)
    room.chat([0, 1], 40)
    found = settled(room, [0, 1])
    assert found[0] != found[1]
    for voice in (0, 1):
        again = restored(room.identity)
        assert again.enrol("Ann", points[voice]) == [SpeakerNamed(found[voice], "Ann")]
    room = Room(points)
    room.identity.enrol("Ann", points[0])
    room.identity.enrol("Bob", points[1])
    room.chat([0, 1], 40)
    names = {number: person.name for number in found.values() if (person := room.identity.people[number])}
    assert {names[number] for number in settled(room, [0, 1]).values()} == {"Ann", "Bob"}


def test_a_voice_names_one_number_only() -> None:
    room = Room(alike(0.6))
    room.identity.enrol("Ann", apart(1)[0])
    room.chat([0, 1], 40)
    assert len([event for event in room.events if isinstance(event, SpeakerNamed)]) == 1


# -- long streams --------------------------------------------------------------------------------------------------


def test_eight_hours_stay_within_bounds() -> None:
    live = LiveConfig(recent_items=32, group_items=24, recluster=240 * SAMPLE_RATE, early=0)
    room = Room(apart(8), live, every=16.0, seed=3)
    generator = np.random.default_rng(0)
    sizes = []
    for _ in range(8 * 3_600 // (16 * 10)):
        room.chat(generator.choice(8, 3, replace=False).tolist(), 10)
        assert len(room.identity.memory) <= 32 + 24
        plain, arrays = room.identity.state()
        sizes.append(sum(rows.nbytes for rows in arrays.values()) + len(json.dumps(plain)))
    assert len(room.identity.people.living()) == 8
    assert max(sizes[-50:]) < 1.5 * max(sizes[:20])
    items = room.identity.memory.items()
    assert items.weight.sum() == pytest.approx(2 * 10 * len(sizes))


def test_a_restored_identity_decides_alike() -> None:
    for seed in range(4):
        live = LiveConfig(recent_items=20, group_items=16, early=10 * SAMPLE_RATE, newborn=5 * SAMPLE_RATE)
        one, other = (Room(alike(0.85, 4), live, spread=0.5, seed=seed) for _ in range(2))
        for _ in range(12):
            assert one.chat([0, 1, 2, 3], 5) == other.chat([0, 1, 2, 3], 5)
            other.identity = restored(other.identity)
        assert one.events == other.events
        assert one.identity.reclusterings == other.identity.reclusterings > 10


def test_patience_is_not_lost_by_a_restore() -> None:
    """A merge and a split that need several re-clusterings, saved and restored after every window."""
    live = LiveConfig(patience=4, newborn=0, newcomer_score=-1e9)
    rooms = Room(alike(0.97), live), Room(alike(0.97), live)
    for _ in range(20):
        assert len({str(room.chat([0, 1], 1)) for room in rooms}) == 1
        rooms[1].identity = restored(rooms[1].identity)
    assert [event for event in rooms[0].events if isinstance(event, SpeakerMerged)]
    for room in rooms:
        room.identity.hint(SpeakerBounds(2, 2))
    for _ in range(20):
        assert len({str(room.chat([0, 1], 1)) for room in rooms}) == 1
        rooms[1].identity = restored(rooms[1].identity)
    assert rooms[0].events == rooms[1].events and len(rooms[0].identity.people.living()) == 2


def test_nothing_heard_is_nobody() -> None:
    identity = Identity(LiveConfig(), ClusteringConfig(), plda())
    nothing = np.zeros(LOCAL_SPEAKERS, np.int64)
    silent = np.full((LOCAL_SPEAKERS, plda().lda.shape[0]), np.nan, np.float32)
    for window in range(-3, 3):
        numbers, events, changed = identity.push(Heard(window, 16_000, silent, nothing, nothing))
        assert numbers.tolist() == [UNASSIGNED] * 3 and not events and not changed
    assert identity.assign([]).shape == (0, LOCAL_SPEAKERS)
    loud = np.array([300, 0, 0])
    numbers, events, _ = identity.push(Heard(3, 16_000, silent, loud, loud))
    assert numbers.tolist() == [UNASSIGNED] * 3 and not events, "speech without an embedding begins nobody"
