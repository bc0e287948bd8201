import asyncio

from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client


async def main() -> None:
    async with (
        streamable_http_client("http://127.0.0.1:7860/mcp") as (read, write, *_),
        ClientSession(read, write) as studio,
    ):
        await studio.initialize()
        answer = await studio.call_tool("background", {"prompt": "forest in the morning"})
        print([block.type for block in answer.content])  # text, image, resource_link


asyncio.run(main())
