from services.runtime import ids


def test_an_id_has_its_prefix_and_26_characters() -> None:
    made = ids.new("vid")
    assert made.startswith("vid_")
    assert len(made) == 30
    assert ids.is_id("vid", made)
    assert not ids.is_id("key", made)


def test_ids_sort_by_time_and_do_not_repeat() -> None:
    made = [ids.new("req") for _ in range(2000)]
    assert len(set(made)) == 2000
    assert made[0][:12] <= made[-1][:12]


def test_a_version_7_uuid_is_inside() -> None:
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    number = 0
    for letter in ids.new("evt")[4:]:
        number = number << 5 | alphabet.index(letter)
    assert number >> 76 & 0xF == 7
    assert number >> 62 & 3 == 2


def test_anything_else_is_no_id() -> None:
    good = ids.new("vid")
    for text in ("", "vid_", "vid", good + "0", good[:-1], good.lower(), good.replace("_", "-"), "vid_" + "I" * 26,
                 "vid_8" + "0" * 25, good + "\n", "vid_" + "é" * 26, "_" + good[4:]):  # fmt: skip
        assert not ids.is_id("vid", text), text
