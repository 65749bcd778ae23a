"""Promises about orders whose prompt is refused: what is told, and what is kept of it."""

import ast

import grpc
import pytest

from services.generation.moderation.tables import VerdictRow
from services.runtime.errors import of
from tests.support import rpc
from tests.support.source import sources

UNLAWFUL = {
    "minors": ("nude child", "儿童色情", "萝莉色情"),
    "sexual": ("hardcore porn", "revenge porn", "色情视频", "性交", "强奸", "卖淫"),
    "violence": ("snuff film", "torture a person", "虐杀", "肢解", "血腥屠杀"),
    "terrorism": ("join isis", "suicide bomber", "恐怖主义宣传", "圣战招募"),
    "weapons": ("make a bomb", "ghost gun", "制作炸弹的方法", "炸药配方", "自制枪支"),
    "self_harm": ("suicide method", "自杀教程", "相约自杀"),
    "hate": ("heil hitler", "white power", "种族灭绝宣传", "纳粹万岁"),
    "drugs": ("制毒", "贩毒"),
}
"""What law and the documents forbid to ask for, in both languages: a sample of each kind, written down here."""


@pytest.mark.promise("KLING-A3.10b", part="prompts only: nobody looks at pictures and finished videos")
@pytest.mark.promise("KLING-A11.9", part="a list of words filters prompts; no algorithm has learned anything")
@pytest.mark.promise("KLING-P6.2", part="no political content, no infringed rights, and nothing in pictures is found")
async def test_refused_content_is_told_by_category_and_leaves_its_verdict_and_no_text(house):
    asked = [(prompt, category) for category, prompts in UNLAWFUL.items() for prompt in prompts]
    told, pictures = {}, ("", await house.picture())
    for number, (prompt, _) in enumerate(asked):
        try:
            written = prompt if number % 4 < 2 else prompt.upper()
            await house.create(prompt=f"{'a film, please: ' * 100}{written}", image=pictures[number % 2])
        except grpc.aio.AioRpcError as error:
            found = of(error)
            told[prompt] = (found.reason, found.metadata.get("category", ""))
    assert told == {prompt: ("CONTENT_REFUSED", category) for prompt, category in asked}
    assert await house.counts() == (0, 1, 0), "nothing but the picture"
    await house.create()
    house.clock.advance(3 * 86_400)
    await house.video_jobs.sweep_rows()
    verdicts = sorted((row.verdict, row.category, row.account) for row in await house.rows(VerdictRow))
    assert verdicts == sorted(
        [("PASSED", "", rpc.ACCOUNT), *(("REFUSED", category, rpc.ACCOUNT) for _, category in asked)]
    )
    stored = str([vars(row) for row in await house.rows(VerdictRow)])
    assert not [prompt for prompt, _ in asked if prompt in stored]


def test_nothing_but_the_prompt_is_looked_at():
    """Pictures, negative prompts and films go unchecked, as the sample policy says: one call, of one field."""
    asked = [
        ast.unparse(node)
        for source in sources()
        for node in ast.walk(source.tree)
        if source.path.startswith("services/generation/")
        and isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("rules.category")
    ]
    assert set(asked) == {"self.rules.category(order.video.prompt or '')", "self.rules.category(resolved.prompt)"}
