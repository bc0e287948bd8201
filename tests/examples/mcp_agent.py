import asyncio

from mcp import Client


async def main() -> None:
    async with Client("http://127.0.0.1:7860/mcp") as studio:
        answer = await studio.call_tool("background", {"prompt": "forest in the morning"})
        print([block.type for block in answer.content])  # text, image, resource_link


asyncio.run(main())
