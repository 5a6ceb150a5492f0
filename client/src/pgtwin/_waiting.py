"""The one thing that waits differently in the two clients, besides HTTP."""

import asyncio
import time

async_sleep = asyncio.sleep
sync_sleep = time.sleep
