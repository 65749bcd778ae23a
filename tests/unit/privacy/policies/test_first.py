"""The texts that come as files: published once, never changed."""

import asyncio
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.privacy.config import PrivacySettings
from services.privacy.policies import first, store
from services.privacy.policies.tables import PolicyRow
from services.runtime.config import StartFault
from services.runtime.pages import Page

SHIPPED = PrivacySettings().policy_texts


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A folder of texts to change."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "texts"))


async def published(database, clock) -> dict[tuple[str, int], str]:
    async with database.transaction() as session:
        rows = await store.page_of_current(session, clock.now(), Page(10))
        return {(row.kind, row.version): row.id for row in rows}


def test_shipped_texts_say_that_they_are_samples_in_both_languages():
    texts = first.read(SHIPPED)
    assert {key: sorted(text.language for text in value) for key, value in texts.items()} == {
        ("privacy", 1): ["en", "zh"],
        ("terms", 1): ["en", "zh"],
    }
    for text in (text for versions in texts.values() for text in versions):
        assert ("sample" in text.title) if text.language == "en" else ("示例" in text.title)
        assert (
            ("a text of their own" in " ".join(text.text.split()).replace("> ", ""))
            if text.language == "en"
            else ("必须" in text.text)
        )


async def test_starting_again_or_together_publishes_once(database, clock):
    await asyncio.gather(*(first.publish_all(database, SHIPPED, clock) for _ in range(4)))
    before = await published(database, clock)
    clock.advance(3600)
    await first.publish_all(database, SHIPPED, clock)
    assert await published(database, clock) == before
    async with database.transaction() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(PolicyRow)) == 2


async def test_a_changed_text_stops_the_start(database, clock, texts: Path):
    await first.publish_all(database, texts, clock)
    path = texts / "terms" / "0001.en.md"
    path.write_text(path.read_text() + "\n")
    with pytest.raises(first.TextChangedError, match="terms/0001"):
        await first.publish_all(database, texts, clock)
    (texts / "privacy" / "0001.fr.md").write_text("# Vie privée\n")
    with pytest.raises(first.TextChangedError, match="privacy/0001"):
        await first.publish_all(database, texts, clock)


async def test_the_next_version_may_come_as_files_too(database, clock, texts: Path):
    await first.publish_all(database, texts, clock)
    for language in ("en", "zh"):
        (texts / "terms" / f"0002.{language}.md").write_text(f"# Terms {language}\n")
    clock.advance(60)
    await first.publish_all(database, texts, clock)
    assert ("terms", 2) in await published(database, clock)


@pytest.mark.parametrize(
    ("name", "text"), [("1.en.md", "# T\n"), ("0002.en.md", "no title\n"), ("0002.eng.md", "# T\n")]
)
async def test_a_file_that_is_no_text_stops_the_start(texts: Path, name: str, text: str):
    (texts / "terms" / name).write_text(text)
    with pytest.raises(ValueError, match=name):
        first.read(texts)


async def test_a_text_in_one_language_only_stops_the_start(database, clock, texts: Path):
    (texts / "terms" / "0001.zh.md").unlink()
    with pytest.raises(StartFault, match=r"terms/0001\.\*\.md cannot be published: texts must have the language zh"):
        await first.publish_all(database, texts, clock)
