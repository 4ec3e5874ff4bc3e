"""What a type checker must see through the front door of the portal; checked by mypy, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Any, assert_type

from b24metrics.portal import AsyncPortal, Batch, Listing, Page, Portal, Ref, Request, count_request, page_request


def number(row: Mapping[str, Any]) -> int:
    return int(row["ID"])


DEALS = Listing("crm.deal.list", number)
assert_type(DEALS, Listing[int])
assert_type(DEALS.where({">=DATE_MODIFY": "2026-01-01"}).selecting("ID").after(5).upto(9), Listing[int])
assert_type(page_request(DEALS), Request[Page[int]])
assert_type(count_request(DEALS), Request[int])
assert_type(Request("server.time", decode=str), Request[str])
assert_type(Request("profile"), Request[Any])
assert_type(Ref("deals")[0]["ID"], Ref)


def blocking(portal: Portal) -> None:
    assert_type(portal.fetch(Request("server.time", decode=str)), str)
    assert_type(portal.pages(DEALS), Generator[Page[int], None, None])
    assert_type(portal.each(DEALS), Generator[int, None, None])
    assert_type(portal.batch(Batch({"a": page_request(DEALS)})), dict[str, Any])


async def awaiting(portal: AsyncPortal) -> None:
    assert_type(await portal.fetch(page_request(DEALS)), Page[int])
    assert_type(portal.pages(DEALS), AsyncGenerator[Page[int], None])
    assert_type(portal.each(DEALS), AsyncGenerator[int, None])
    async for item in portal.each(DEALS):
        assert_type(item, int)
